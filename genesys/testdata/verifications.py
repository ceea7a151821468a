"""Makes verifications.json: deliveries signed by Python's hmac, to be verified by genmesh.

openssl makes the same, for example:
  printf %s BODY | openssl dgst -sha256 -hmac KEY -binary | base64
"""
import base64, hashlib, hmac, json

bodies = {
    "empty": b"",
    "plain": b'{"id":"1","data":{"id":"987654321"}}',
    "unicode": '{"name":"Zoë 東京 😀"}'.encode(),
    "white space": b'{ "id" : 1 }\r\n\t ',
    "escapes": b'{"a":"\\u00e4\\/","b":"\\u0000"}',
    "bytes": bytes(range(256)),
    "20 KB": b'{"a":"' + b"x" * 20_000 + b'"}',
}
received = 1767225600  # 2026-01-01T00:00:00Z


def mac(key, body, algorithm="sha256"):
    return hmac.new(key, body, getattr(hashlib, algorithm)).digest()


def b64(raw):
    return base64.b64encode(raw).decode()


def message_signature(key, body):
    digest = "sha-256=:" + b64(hashlib.sha256(body).digest()) + ":"
    params = f'("@method" "@authority" "@path" "content-digest");created={received};nonce="n-1";keyid="k"'
    base = "\n".join([
        '"@method": POST', '"@authority": mesh.example.com', '"@path": /hook',
        f'"content-digest": {digest}', f'"@signature-params": {params}',
    ])
    return {
        "Content-Digest": digest, "Signature-Input": "s=" + params,
        "Signature": "s=:" + b64(mac(key, base.encode())) + ":",
    }


def deliveries(body):
    text, raw = "a secret of some length", b"a secret of some length"
    ts = str(received)
    yield {"method": "hmac", "header": "X-Sig", "key": text, "headers": {"X-Sig": mac(raw, body).hex()}}
    yield {"method": "hmac", "header": "X-Hub-Signature", "algorithm": "sha1", "prefix": "sha1=", "key": text,
           "headers": {"X-Hub-Signature": "sha1=" + mac(raw, body, "sha1").hex()}}
    yield {"method": "hmac", "header": "X-Sig", "algorithm": "sha512", "encodings": ["base64url"], "key": text,
           "headers": {"X-Sig": base64.urlsafe_b64encode(mac(raw, body, "sha512")).decode()}}
    yield {"method": "hmac", "header": "X-Hub-Signature-256", "encodings": ["base64"], "prefix": "sha256=", "key": text,
           "headers": {"X-Hub-Signature-256": "sha256=" + b64(mac(raw, body))}}
    yield {"method": "hmac", "header": "X-Sig", "signed": "{timestamp}{body}", "timestamp_header": "X-Time", "key": text,
           "headers": {"X-Sig": mac(raw, ts.encode() + body).hex(), "X-Time": ts}}
    yield {"method": "hmac", "header": "X-Sig", "signed": "{timestamp}.{body}", "timestamp_header": "X-Time", "key": text,
           "headers": {"X-Sig": mac(raw, ts.encode() + b"." + body).hex(), "X-Time": ts}}
    yield {"method": "standard-webhooks", "key": "whsec_" + b64(raw), "headers": {
        "Webhook-Id": "msg_1", "Webhook-Timestamp": ts,
        "Webhook-Signature": "v1," + b64(mac(raw, b"msg_1." + ts.encode() + b"." + body))}}
    yield {"method": "http-message-signature", "key": b64(raw), "headers": message_signature(raw, body)}
    yield {"method": "basic", "key": "user:" + text,
           "headers": {"Authorization": "Basic " + b64(b"user:" + raw)}}


print(json.dumps([
    {"name": f"{d['method']}: {name}", "body": b64(body), "received": received, **d}
    for name, body in bodies.items() for d in deliveries(body)
    if name != "20 KB" or d["method"] == "hmac" and "signed" in d
], indent=1, ensure_ascii=False))

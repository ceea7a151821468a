"""Makes verifications.json: deliveries signed by Python's hmac, to be verified by genmesh or, where
they have a "want", to be refused for that reason.

It needs nothing but Python 3 and makes the same bytes each time, whatever the clock says:
  python3 verifications.py > verifications.json
  python3 verifications.py | cmp - verifications.json

openssl makes the same signatures, for example:
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


# What follows signs no body: who has seen such a delivery can send another with the same header.

def static_keys():
    text, wrong, later = "a secret of some length", "a secret of same length", received + 24 * 3600
    encoded = b64(text.encode())
    for method, header, prefix in [("header", "X-Api-Key", ""), ("bearer", "Authorization", "Bearer ")]:
        def one(name, value, **more):
            named = {"header": header} if method == "header" else {}
            return f"{method}: {name}", {"method": method, **named, "key": text, "headers": {header: value}, **more}
        yield one("good", prefix + text)
        yield one("wrong", prefix + wrong, want="mismatch")
        yield one("truncated", prefix + text[:-1], want="mismatch")
        yield one("longer", prefix + text + "h", want="mismatch")
        yield one("re-encoded in base64", prefix + encoded, want="mismatch")
        yield one("in capitals", prefix + text.upper(), want="mismatch")
        yield one("replayed a day later", prefix + text, received=later)  # nothing tells when it was made
        if prefix:
            yield one("the scheme in small letters", prefix.lower() + text)
            yield one("no scheme", text, want="malformed")
            yield one("another scheme", "Secret " + text, want="malformed")
            yield one("the scheme alone", prefix.strip(), want="malformed")


def b64url(raw):
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def token(claims, key=b"a secret of some length", alg="HS256", hash="sha256"):
    """JSON Web Token, RFC 7515 and 7519."""
    text = ".".join(b64url(json.dumps(part, separators=(",", ":")).encode()) for part in [{"alg": alg, "typ": "JWT"}, claims])
    return text + "." + (b64url(mac(key, text.encode(), hash)) if hash else "")


def tokens():
    # Tokens are judged by the clock: these end in the year 2100, or did in 2020.
    claims = {"iss": "aws", "aud": "mesh", "exp": 4102444800}
    good = token(claims)
    head, payload, signature = good.split(".")

    def without(name):
        return {k: v for k, v in claims.items() if k != name}

    def one(name, value, **more):
        return f"jwt: {name}", {"method": "jwt", "key": "a secret of some length", "issuer": "aws", "audience": "mesh",
                                "headers": {"Authorization": "Bearer " + value}, **more}

    yield one("good", good)
    yield one("one of several audiences", token({**claims, "aud": ["other", "mesh"]}))
    yield one("with other claims", token({**claims, "sub": "Zoë", "nbf": 1577836800, "iat": 1577836800}))
    yield one("replayed a day later", good, received=received + 24 * 3600)  # it has not ended
    yield one("replayed after its end", token({**claims, "exp": 1577836800}), want="expired")
    yield one("not valid yet", token({**claims, "nbf": 4102444700}), want="expired")
    yield one("without an end", token(without("exp")), want="claims")
    yield one("wrong", token(claims, b"a secret of same length"), want="mismatch")
    yield one("wrong issuer", token({**claims, "iss": "AWS"}), want="claims")
    yield one("wrong audience", token({**claims, "aud": "mesh2"}), want="claims")
    yield one("no issuer", token(without("iss")), want="claims")
    yield one("no audience", token(without("aud")), want="claims")
    yield one("HS384", token(claims, alg="HS384", hash="sha384"), want="mismatch")
    yield one("HS512", token(claims, alg="HS512", hash="sha512"), want="mismatch")
    yield one("no algorithm", token(claims, alg="none", hash=""), want="mismatch")
    yield one("no algorithm, with the signature", token(claims, alg="none", hash="sha256"), want="mismatch")
    yield one("truncated", good[:-3], want="mismatch")
    yield one("without its signature", head + "." + payload + ".", want="mismatch")
    yield one("without its third part", head + "." + payload, want="malformed")
    yield one("with a fourth part", good + ".", want="malformed")
    yield one("claims re-encoded", f"{head}.{b64url(json.dumps(claims).encode())}.{signature}", want="mismatch")
    raw = base64.urlsafe_b64decode(signature + "=")
    yield one("signature in hex", f"{head}.{payload}.{raw.hex()}", want="mismatch")
    yield one("signature padded", good + "=", want="malformed")
    yield one("signature with a loose bit", good[:-1] + following(good[-1]), want="malformed")


def following(letter):
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return alphabet[alphabet.index(letter) + 1]


print(json.dumps([
    {"name": f"{d['method']}: {name}", "body": b64(body), "received": received, **d}
    for name, body in bodies.items() for d in deliveries(body)
    if name != "20 KB" or d["method"] == "hmac" and "signed" in d
] + [
    {"name": name, "body": b64(bodies["plain"]), "received": received, **d}
    for some in (static_keys, tokens) for name, d in some()
], indent=1, ensure_ascii=False))

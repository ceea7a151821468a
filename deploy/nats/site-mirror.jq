# Makes of `nats stream info NAME --json` at the first site what `nats stream add NAME --config` at the second one takes: the same stream, which
# copies the first site's and takes no publications. docs/second-site.md says when.
#
#   jq --arg first east -f deploy/nats/site-mirror.jq
.config
| (.subjects // []) as $subjects
| del(.subjects, .allow_atomic, .allow_batched, .duplicate_window, .metadata, .sources, .mirror)
| .mirror = {name: .name, external: {api: "$JS.\($first).API", deliver: "_mesh.site"}}
# Replays that are on their way are gone from the first site once they are done, and a mirror keeps what is deleted there. The dead letters
# stay; whoever wants them replays them again.
| if $subjects | index("replay.>") then .mirror.filter_subject = "dead.>" else . end

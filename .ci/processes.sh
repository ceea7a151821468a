# shellcheck shell=bash disable=SC2034 # what sources it reads its variables
# For scripts that start processes and talk to them. Source it; it makes the folder $work, and at
# the end of the script it stops what was started and removes the folder.

# The developer's own settings have no say.
unset CRM_URL ANALYTICS_URL COMPLIANCE_URL "${!GENMESH_@}" "${!NATS_@}"

work=$(mktemp -d)
port=$((20000 + RANDOM % 8000)) # below the ports that the system itself gives away

clean_up() {
  local running
  for running in $(jobs -pr); do crash "$running"; done
  rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# free_port leaves the number of a port of 127.0.0.1 that nobody listens on in $port.
free_port() {
  while port=$((port + 1)) && (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do :; done
}

# start FOLDER COMMAND... starts a process there, with its output in FOLDER/log, and leaves its
# number in $pid.
start() {
  local folder=$1
  mkdir -p "$folder"
  (cd "$folder" && exec "${@:2}") >"$folder/log" 2>&1 </dev/null &
  pid=$!
}

# crash PID ends a process without asking it.
crash() {
  kill -KILL "$1" 2>/dev/null || true
  wait "$1" 2>/dev/null || true
}

# stop PID asks a process to end and fails unless it ends well within 20 s.
stop() {
  kill -TERM "$1" 2>/dev/null || give_up "process $1 had ended before it was asked to"
  local code=0
  within 20 "the end of process $1" ended "$1"
  wait "$1" || code=$?
  ((code == 0)) || give_up "process $1 ended with exit code $code"
}

ended() { ! kill -0 "$1" 2>/dev/null; }

# within SECONDS WHAT COMMAND... waits until the command succeeds.
within() {
  local deadline=$((SECONDS + $1)) what=$2
  until "${@:3}"; do
    ((SECONDS < deadline)) || give_up "$what did not come within $1 s"
    sleep 0.2
  done
}

# give_up WHY shows what the processes said last and ends the script.
give_up() {
  tail -n 40 "$work"/*/log >&2
  echo "FAILED: $1" >&2
  exit 1
}

# answers URL succeeds if a GET is answered 200.
answers() { curl --noproxy '*' --fail --silent --output /dev/null --max-time 5 "$1"; }

# sign BODY prints its signature with $GENESYS_WEBHOOK_SECRET.
sign() { printf %s "$1" | openssl dgst -sha256 -hmac "$GENESYS_WEBHOOK_SECRET" | sed 's/^.* //'; }

# post URL BODY SIGNATURE prints the status code.
post() {
  curl --noproxy '*' --silent --show-error --output /dev/null --write-out '%{http_code}' --max-time 15 \
    --header 'Content-Type: application/json' --header "X-Genesys-Signature: $3" --data-binary "$2" "$1"
}

# expect WANTED GOT WHAT
expect() {
  [[ $2 == "$1" ]] || give_up "$3: got $2, wanted $1"
  echo "$3: $2"
}

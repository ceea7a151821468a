package deploy_test

import (
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestThereIsAUnitForEachProcess(t *testing.T) {
	assert.ElementsMatch(t,
		[]string{"nats-server", "genmesh-apply", "genmesh-ingress", "genmesh-workers", "genmesh-console"},
		slices.Collect(maps.Keys(readUnits(t))))
}

// TestProgramKnowsWhatUnitsTellIt: an environment variable that nobody reads is a setting that nobody has.
func TestProgramKnowsWhatUnitsTellIt(t *testing.T) {
	for name, u := range readUnits(t) {
		environment := u.environment(t)
		if u.runsGenmesh() {
			assert.Equal(t, "/usr/local/bin/genmesh", strings.Fields(u.one(t, "ExecStart"))[0], name)
			assertParts(t, u.args(t))
			assert.Contains(t, u.args(t), u.part())
			assertKnown(t, u.args(t), environment)
			continue
		}
		delete(environment, "GOMEMLIMIT")
		assert.ElementsMatch(t, inNode(t), slices.Collect(maps.Keys(environment)))
	}
}

// TestUnitsGetTheFilesThatTheyName: the certificate of its own role, and nothing that it does not use.
func TestUnitsGetTheFilesThatTheyName(t *testing.T) {
	for name, u := range readUnits(t) {
		var used []string
		for variable, value := range u.environment(t) {
			if credential, is := strings.CutPrefix(value, "%d/"); is {
				assert.Contains(t, u.credentials(), credential, "%s: %s", name, variable)
				used = append(used, credential)
			}
		}
		if u.part() == "ingress" {
			used = append(used, "webhook-secret") // streams.json names it
			assert.Contains(t, read(t, "systemd/genmesh-ingress.service"), "file:/run/credentials/"+name+".service/webhook-secret")
		}
		assert.ElementsMatch(t, used, slices.Collect(maps.Keys(u.credentials())), name)
		if !u.runsGenmesh() {
			continue
		}
		assert.Equal(t, "/etc/genmesh/tls/"+u.part()+".crt", u.credentials()["identity.crt"])
		assert.Equal(t, inboxes(t, u.part()), u.environment(t)["NATS_INBOX_PREFIX"])
	}
}

// TestTheManualSaysWhichFileGoesWhere: for those of roles it names one.
func TestTheManualSaysWhichFileGoesWhere(t *testing.T) {
	manual := read(t, "../docs/production.md")
	for name, u := range readUnits(t) {
		wanted := append(slices.Collect(maps.Values(u.credentials())), u.one(t, "EnvironmentFile"))
		for _, file := range wanted {
			if strings.HasPrefix(file, "/etc/genmesh/tls/"+u.part()+".") {
				file = strings.Replace(file, u.part(), "apply", 1)
			}
			folder, base := path.Split(file)
			assert.Regexp(t, `(?m)^\| `+folder+`.*\b`+regexp.QuoteMeta(base), manual, name)
		}
	}
}

// TestUnitsMayDoNothingButTheirWork: what systemd-analyze counts is up to it; these are what must not go.
func TestUnitsMayDoNothingButTheirWork(t *testing.T) {
	for name, u := range readUnits(t) {
		for setting, want := range map[string]string{
			"DynamicUser": "yes", "NoNewPrivileges": "yes", "CapabilityBoundingSet": "", "AmbientCapabilities": "", "ProtectSystem": "strict",
			"ProtectHome": "yes", "PrivateTmp": "yes", "PrivateDevices": "yes", "ProtectKernelTunables": "yes", "ProtectKernelModules": "yes",
			"ProtectControlGroups": "yes", "RestrictNamespaces": "yes", "RestrictSUIDSGID": "yes", "LockPersonality": "yes",
			"MemoryDenyWriteExecute": "yes", "SystemCallArchitectures": "native",
		} {
			assert.Equal(t, want, u.one(t, setting), "%s: %s", name, setting)
		}
		assert.Equal(t, []string{"@system-service", "~@privileged"}, u.settings["SystemCallFilter"], name)
		soft, limit := mebibytes(t, u.environment(t)["GOMEMLIMIT"]), mebibytes(t, u.one(t, "MemoryMax"))
		assert.GreaterOrEqual(t, soft, limit*8/10, name)
		assert.LessOrEqual(t, soft, limit*9/10, name)
	}
}

// TestUnitsOutlastWhatTheyNeed: NATS may be away for longer than any number of starts, and an end in order has its time.
func TestUnitsOutlastWhatTheyNeed(t *testing.T) {
	grace, err := time.ParseDuration(names(help(t, []string{"serve"}), `--grace .*\(default (\S+)\)`)[0])
	require.NoError(t, err)
	for name, u := range readUnits(t) {
		if u.part() == "apply" {
			assert.Equal(t, "oneshot", u.one(t, "Type"))
			continue
		}
		assert.Equal(t, "always", u.one(t, "Restart"), name)
		assert.Equal(t, "0", u.one(t, "StartLimitIntervalSec"), name)
		assert.Equal(t, "kill -HUP $MAINPID", u.one(t, "ExecReload"), name)
		needs := grace + 10*time.Second
		if !u.runsGenmesh() {
			needs = 2*time.Minute + 10*time.Second // nats-server's lame_duck_duration by default
			assert.Equal(t, "SIGUSR2", u.one(t, "KillSignal"), "lame duck mode")
		}
		stop, err := time.ParseDuration(u.one(t, "TimeoutStopSec"))
		require.NoError(t, err)
		assert.GreaterOrEqual(t, stop, needs, name)
	}
}

// TestUnitsOfOneMachineShareNoPort: all of them may run on one.
func TestUnitsOfOneMachineShareNoPort(t *testing.T) {
	taken := map[string]string{"8222": "nats-server", "4222": "nats-server", "6222": "nats-server"}
	for name, u := range readUnits(t) {
		for variable, value := range u.environment(t) {
			for _, port := range names(value, `^(?:127\.0\.0\.1)?:(\d+)$`) {
				assert.Empty(t, taken[port], "%s in %s", variable, name)
				taken[port] = name
			}
		}
	}
	assert.Len(t, taken, 8)
}

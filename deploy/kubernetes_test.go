package deploy_test

import (
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEachManifestIsInTheKustomization(t *testing.T) {
	files, err := filepath.Glob("kubernetes/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	var listed []string
	for _, name := range readKustomization(t).Resources {
		listed = append(listed, strings.TrimPrefix(name, "deploy/"))
	}
	assert.ElementsMatch(t, files, listed)
}

// TestConfigurationInPodsIsTheOneThatShips: what the tests of this repository hold true is what runs, and not a copy.
func TestConfigurationInPodsIsTheOneThatShips(t *testing.T) {
	k := readKustomization(t)
	assert.Equal(t, "../streams.json", k.files("genmesh-streams")["streams.json"])
	assert.Equal(t, "../deploy/nats/nats.conf", k.files("nats-config")["nats.conf"])
	for _, included := range names(read(t, "nats/nats.conf"), `(?m)^ *include \./(\S+)$`) {
		assert.Contains(t, k.files("nats-config"), included)
	}
	for _, g := range k.ConfigMapGenerator {
		for _, file := range g.Files {
			assert.FileExists(t, filepath.Join("..", file), g.Name)
		}
	}
}

// TestNodesAreTheServerThatTheTestsRun: a release of nats-server that nobody tested acknowledges no event.
func TestNodesAreTheServerThatTheTestsRun(t *testing.T) {
	versions := names(read(t, "../go.mod"), `github\.com/nats-io/nats-server/v2 v(\S+)`)
	require.Len(t, versions, 1)
	nats := named(t, readManifests(t), "StatefulSet", "nats")
	assert.Equal(t, "nats:"+versions[0]+"-alpine", nats.container(t).Image)
}

func TestNoSecretIsInTheManifests(t *testing.T) {
	k, all := readKustomization(t), readManifests(t)
	assert.Empty(t, k.SecretGenerator)
	secrets := names(strings.Join(names(read(t, "../streams.json"), `"secrets?": (.*)`), "\n"), `\$\{(\w+)`)
	require.NotEmpty(t, secrets)
	for _, m := range all {
		assert.NotEqual(t, "Secret", m.Kind, m.Metadata.Name)
	}
	for _, m := range workloads(all) {
		c := m.container(t)
		for _, name := range secrets {
			assert.Empty(t, c.environment(k)[name], "%s in %s", name, m.Metadata.Name)
		}
		for _, variable := range c.Env {
			if slices.Contains(secrets, variable.Name) {
				require.NotNil(t, variable.ValueFrom, variable.Name)
				assert.NotNil(t, variable.ValueFrom.SecretKeyRef, variable.Name)
			}
		}
	}
	ingress := named(t, all, "Deployment", "ingress")
	for _, name := range secrets {
		assert.Contains(t, ingress.container(t).environment(k), name, "ingress verifies with it")
	}
}

// TestPodsMayDoNothingButTheirWork is what the namespace enforces ("restricted"), and a read-only disk, no token and no links besides.
func TestPodsMayDoNothingButTheirWork(t *testing.T) {
	all := readManifests(t)
	assert.Equal(t, "restricted", named(t, all, "Namespace", "genmesh").Metadata.Labels["pod-security.kubernetes.io/enforce"])
	require.Len(t, workloads(all), 5)
	for _, m := range workloads(all) {
		p, c, name := m.Spec.Template.Spec, m.container(t), m.Metadata.Name
		account := named(t, all, "ServiceAccount", p.ServiceAccountName)
		for _, automount := range []*bool{account.AutomountServiceAccountToken, p.AutomountServiceAccountToken, p.EnableServiceLinks} {
			if assert.NotNil(t, automount, name) {
				assert.False(t, *automount, name)
			}
		}
		assert.True(t, p.SecurityContext.RunAsNonRoot, name)
		assert.Equal(t, 65532, p.SecurityContext.RunAsUser, name)
		assert.Equal(t, 65532, p.SecurityContext.FSGroup, "%s reads its secrets as a member of a group", name)
		assert.Equal(t, "RuntimeDefault", p.SecurityContext.SeccompProfile.Type, name)
		if assert.NotNil(t, c.SecurityContext.AllowPrivilegeEscalation, name) {
			assert.False(t, *c.SecurityContext.AllowPrivilegeEscalation, name)
		}
		assert.True(t, c.SecurityContext.ReadOnlyRootFilesystem, name)
		assert.False(t, c.SecurityContext.Privileged, name)
		assert.Equal(t, []string{"ALL"}, c.SecurityContext.Capabilities.Drop, name)
		assert.Empty(t, c.SecurityContext.Capabilities.Add, name)
	}
}

// TestMemoryHasABoundThatTheRuntimeKnows: the collector works harder before the kernel kills. CPU has none, for who is held back misses its
// signs of life.
func TestMemoryHasABoundThatTheRuntimeKnows(t *testing.T) {
	k := readKustomization(t)
	for _, m := range workloads(readManifests(t)) {
		c := m.container(t)
		limit, soft := mebibytes(t, c.Resources.Limits.Memory), mebibytes(t, c.environment(k)["GOMEMLIMIT"])
		assert.GreaterOrEqual(t, soft, limit*8/10, m.Metadata.Name)
		assert.LessOrEqual(t, soft, limit*9/10, m.Metadata.Name)
		assert.Equal(t, c.Resources.Limits.Memory, c.Resources.Requests.Memory, m.Metadata.Name)
		assert.NotEmpty(t, c.Resources.Requests.CPU, m.Metadata.Name)
		assert.Empty(t, c.Resources.Limits.CPU, m.Metadata.Name)
	}
}

// mebibytes reads 128Mi, 2Gi, as Kubernetes has them, 128MiB, as Go does, and 2M, 2G, as systemd does.
func mebibytes(t *testing.T, text string) int {
	t.Helper()
	var n int
	var unit string
	_, err := fmt.Sscanf(text, "%d%s", &n, &unit)
	require.NoError(t, err, text)
	switch unit[0] {
	case 'G':
		return n << 10
	case 'M':
		return n
	}
	require.Fail(t, "no such unit", text)
	return 0
}

func TestDiskHoldsMoreThanStreamsMayReserve(t *testing.T) {
	reserved := names(read(t, "nats/nats.conf"), `(?m)^ *max_file_store: (\d+)GB$`) // nats-server's GB is 1024^3 bytes
	require.Len(t, reserved, 1)
	claims := named(t, readManifests(t), "StatefulSet", "nats").Spec.VolumeClaimTemplates
	require.Len(t, claims, 1)
	assert.GreaterOrEqual(t, mebibytes(t, claims[0].Spec.Resources.Requests.Storage), mebibytes(t, reserved[0]+"G")*5/4)
}

// TestProgramKnowsWhatPodsTellIt: an environment variable that nobody reads is a setting that nobody has.
func TestProgramKnowsWhatPodsTellIt(t *testing.T) {
	k := readKustomization(t)
	for _, m := range workloads(readManifests(t)) {
		c := m.container(t)
		environment := c.environment(k)
		if m.runsGenmesh() {
			assert.Empty(t, c.Command, m.Metadata.Name)
			assertParts(t, c.Args)
			assertKnown(t, c.Args, environment)
			continue
		}
		delete(environment, "GOMEMLIMIT")
		assert.ElementsMatch(t, inNode(t), slices.Collect(maps.Keys(environment)))
	}
}

// TestPathsInPodsAreMounted follows each path that a process is told to its volume, and each volume to what is there.
func TestPathsInPodsAreMounted(t *testing.T) {
	k := readKustomization(t)
	for _, m := range workloads(readManifests(t)) {
		c := m.container(t)
		said := append(append(slices.Collect(maps.Values(c.environment(k))), c.Args...), c.Command...)
		for _, file := range names(strings.Join(said, "\n"), `(?m)(?:^|=)(/(?:etc|data)\S*)$`) {
			assert.True(t, mounted(t, k, m, file), "%s: %s", m.Metadata.Name, file)
		}
	}
}

// mounted reports whether a file, or the folder of a claim, is in one of the workload's volumes.
func mounted(t *testing.T, k kustomization, m manifest, file string) bool {
	t.Helper()
	for _, mount := range m.container(t).VolumeMounts {
		if mount.MountPath == file {
			return slices.ContainsFunc(m.Spec.VolumeClaimTemplates, func(c claim) bool { return c.Metadata.Name == mount.Name })
		}
		if mount.MountPath != path.Dir(file) {
			continue
		}
		for _, v := range m.Spec.Template.Spec.Volumes {
			switch {
			case v.Name != mount.Name:
			case v.ConfigMap != nil:
				return k.files(v.ConfigMap.Name)[path.Base(file)] != ""
			default:
				return slices.Contains(secretKeys, path.Base(file))
			}
		}
	}
	return false
}

// TestTheManualNamesEachSecret that a pod waits for until somebody has made it.
func TestTheManualNamesEachSecret(t *testing.T) {
	files, err := filepath.Glob("kubernetes/*.yaml")
	require.NoError(t, err)
	manual, found := read(t, "../docs/production.md"), 0
	for _, file := range files {
		for _, secret := range names(read(t, file), `(?:secretName:|secretKeyRef: \{name:|secretRef:\s+name:) ([\w-]+)`) {
			assert.Regexp(t, "(?m)^\\| .*`"+secret+"`.* \\|", manual, file)
			found++
		}
	}
	assert.GreaterOrEqual(t, found, 10)
}

// secretKeys are the names in the secrets that docs/production.md has people make; those of certificates are cert-manager's.
var secretKeys = []string{"tls.crt", "tls.key", "ca.crt", "access.json"}

// TestSelectorsFindPods: a selector with a typing error selects nothing, and nobody says so.
func TestSelectorsFindPods(t *testing.T) {
	all := readManifests(t)
	found := map[string]int{}
	for _, m := range all {
		switch m.Kind {
		case "Service", "PodDisruptionBudget", "StatefulSet", "Deployment":
			pods := selected(t, all, m.selects(t))
			assert.Equal(t, []string{m.Metadata.Name}, pods, "%s %s", m.Kind, m.Metadata.Name)
		case "NetworkPolicy":
			assert.NotEmpty(t, selected(t, all, m.selects(t)), m.Metadata.Name)
			for _, r := range append(m.Spec.Ingress, m.Spec.Egress...) {
				for _, peer := range append(r.From, r.To...) {
					assert.True(t, peer.PodSelector == nil || len(selected(t, all, peer.PodSelector.MatchLabels)) > 0, m.Metadata.Name)
				}
			}
		default:
			continue
		}
		found[m.Kind]++
	}
	for _, m := range workloads(all) {
		for _, spread := range m.Spec.Template.Spec.TopologySpreadConstraints {
			assert.Equal(t, []string{m.Metadata.Name}, selected(t, all, spread.LabelSelector.MatchLabels))
		}
	}
	assert.Equal(t, map[string]int{"Service": 3, "PodDisruptionBudget": 3, "StatefulSet": 1, "Deployment": 3, "NetworkPolicy": 7}, found)
}

// selected are the workloads whose pods have these labels.
func selected(t *testing.T, all []manifest, labels map[string]string) (pods []string) {
	t.Helper()
	for _, m := range workloads(all) {
		matches := true
		for label, value := range labels {
			matches = matches && m.Spec.Template.Metadata.Labels[label] == value
		}
		if matches {
			pods = append(pods, m.Metadata.Name)
		}
	}
	return pods
}

// TestNodesFindEachOtherAndClientsFindThem: the names that the headless Service gives are the ones that all are told.
func TestNodesFindEachOtherAndClientsFindThem(t *testing.T) {
	k, all := readKustomization(t), readManifests(t)
	nats := named(t, all, "StatefulSet", "nats")
	service := named(t, all, "Service", nats.Spec.ServiceName)
	assert.Equal(t, "None", service.Spec.ClusterIP)
	var clients, routes []string
	for n := range nats.Spec.Replicas {
		host := fmt.Sprintf("tls://%s-%d.%s", nats.Metadata.Name, n, service.Metadata.Name)
		clients, routes = append(clients, host+":4222"), append(routes, host+":6222")
	}
	assert.Equal(t, strings.Join(clients, ","), k.literals("genmesh-environment")["NATS_URL"])
	assert.Equal(t, routes, names(nats.container(t).environment(k)["NATS_ROUTES"], `"([^"]+)"`))
	assert.Equal(t, fmt.Sprint(nats.Spec.Replicas), k.literals("genmesh-environment")["NATS_REPLICAS"])
}

// TestPortsAreWhereProcessesListen: of Services, of probes, of what Prometheus is told, and in nats.conf.
func TestPortsAreWhereProcessesListen(t *testing.T) {
	all := readManifests(t)
	for _, m := range workloads(all) {
		c := m.container(t)
		ports := map[string]int{}
		for _, p := range c.Ports {
			ports[p.Name] = p.ContainerPort
		}
		if m.runsGenmesh() {
			assert.Equal(t, opensPorts(t, c.Args), ports, m.Metadata.Name)
		} else {
			conf := read(t, "nats/nats.conf")
			assert.Equal(t, []string{fmt.Sprint(ports["client"]), fmt.Sprint(ports["cluster"])}, names(conf, `(?m)^ *listen: 0\.0\.0\.0:(\d+)$`))
		}
		if port := m.Spec.Template.Metadata.Annotations["prometheus.io/port"]; port != "" {
			assert.Equal(t, fmt.Sprint(ports["metrics"]), port, m.Metadata.Name)
		}
		for _, s := range all {
			if s.Kind != "Service" || !slices.Contains(selected(t, all, s.selects(t)), m.Metadata.Name) {
				continue
			}
			for _, p := range s.Spec.Ports {
				assert.Contains(t, ports, p.TargetPort, s.Metadata.Name)
			}
		}
	}
}

// opensPorts are the ports that a command line opens beyond loopback, by what is behind them.
func opensPorts(t *testing.T, args []string) map[string]int {
	t.Helper()
	ports := map[string]int{}
	for flag, name := range map[string]string{"http": "webhooks", "console": "console", "metrics": "metrics"} {
		if found := names(strings.Join(args, "\n"), `(?m)^--`+flag+`=:(\d+)$`); len(found) == 1 {
			var port int
			_, err := fmt.Sscan(found[0], &port)
			require.NoError(t, err)
			ports[name] = port
		}
	}
	if len(ports) == 0 {
		return map[string]int{}
	}
	return ports
}

// TestEndsInOrderBeforeItIsKilled adds up what a pod's end may take.
func TestEndsInOrderBeforeItIsKilled(t *testing.T) {
	const closing = 10 * time.Second // connections, the last acknowledgements, spans
	for _, m := range workloads(readManifests(t)) {
		c := m.container(t)
		needs := closing
		if c.Lifecycle.PreStop != nil && c.Lifecycle.PreStop.Sleep != nil {
			needs += time.Duration(c.Lifecycle.PreStop.Sleep.Seconds) * time.Second
		}
		if !m.runsGenmesh() {
			needs += 2 * time.Minute // nats-server's lame_duck_duration by default
		}
		for _, grace := range names(strings.Join(c.Args, "\n"), `(?m)^--grace=(\S+)$`) {
			takes, err := time.ParseDuration(grace)
			require.NoError(t, err)
			needs += takes
		}
		if m.Kind != "Job" {
			assert.GreaterOrEqual(t, time.Duration(m.Spec.Template.Spec.TerminationGracePeriodSeconds)*time.Second, needs, m.Metadata.Name)
		}
	}
}

// TestUpgradeWaitsUntilANodeHasCaughtUp: readiness is the whole health of a node, its streams' too, and that alone restarts nothing.
func TestUpgradeWaitsUntilANodeHasCaughtUp(t *testing.T) {
	c := named(t, readManifests(t), "StatefulSet", "nats").container(t)
	require.Regexp(t, regexp.MustCompile(`(?m)^http: 127\.0\.0\.1:8222$`), read(t, "nats/nats.conf"))
	asked := map[string]string{}
	for purpose, p := range c.probes() {
		asked[purpose] = p.Exec.Command[len(p.Exec.Command)-1]
	}
	assert.Equal(t, map[string]string{
		"startup":   "http://127.0.0.1:8222/healthz?js-server-only=true",
		"readiness": "http://127.0.0.1:8222/healthz",
		"liveness":  "http://127.0.0.1:8222/healthz?js-enabled-only=true",
	}, asked)
}

package deploy_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/cli"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

// pods runs what the containers of the manifests run, with their arguments, environments, files and probes, on this machine. Only what a
// machine has once is another: folders, ports, and names of hosts.
type pods struct {
	t             *testing.T
	all           []manifest
	config        kustomization
	roles, routes *authority
	replaced      []string // of strings.NewReplacer
	addresses     map[string]string
	monitors      []string // of the nodes, instead of 127.0.0.1:8222
}

func newPods(t *testing.T) *pods {
	t.Helper()
	p := &pods{
		t: t, all: readManifests(t), config: readKustomization(t), roles: newAuthority(t, "roles"), routes: newAuthority(t, "routes"),
		addresses: map[string]string{},
	}
	for n := range named(t, p.all, "StatefulSet", "nats").Spec.Replicas {
		for _, port := range []string{"4222", "6222"} {
			address := meshtest.FreeAddr(t)
			p.addresses[fmt.Sprint(n, ":", port)] = address
			_, chosen, err := net.SplitHostPort(address)
			require.NoError(t, err)
			p.replaced = append(p.replaced, fmt.Sprintf("nats-%d.nats:%s", n, port), "localhost:"+chosen)
		}
	}
	return p
}

// mount makes the files of a workload's volumes, and tells what stands for the paths in its container.
func (p *pods) mount(m manifest) *strings.Replacer {
	p.t.Helper()
	root := p.t.TempDir()
	replaced := slices.Clone(p.replaced)
	for _, mount := range m.container(p.t).VolumeMounts {
		folder := filepath.Join(root, mount.MountPath)
		require.NoError(p.t, os.MkdirAll(folder, 0o700))
		replaced = append(replaced, mount.MountPath, folder)
		for _, v := range m.Spec.Template.Spec.Volumes {
			switch {
			case v.Name != mount.Name:
			case v.ConfigMap != nil:
				p.copyFiles(folder, p.config.files(v.ConfigMap.Name))
			default:
				p.writeSecret(folder, v.Secret.SecretName)
			}
		}
	}
	return strings.NewReplacer(replaced...)
}

func (p *pods) copyFiles(folder string, files map[string]string) {
	p.t.Helper()
	for name, file := range files {
		require.NoError(p.t, os.WriteFile(filepath.Join(folder, name), []byte(read(p.t, file)), 0o600))
	}
}

// writeSecret makes what docs/production.md has people make.
func (p *pods) writeSecret(folder, name string) {
	p.t.Helper()
	if name == "console-access" {
		access := fmt.Sprintf(`{"users": [{"name": "ann", "role": "viewer", "token_sha256": "%064x"}]}`, 1)
		require.NoError(p.t, os.WriteFile(filepath.Join(folder, "access.json"), []byte(access), 0o440))
		return
	}
	by, subject := p.roles, "localhost"
	if name == "nats-routes-tls" {
		by = p.routes
	}
	if role, is := strings.CutSuffix(name, "-identity"); is {
		subject = role + ".genmesh"
	}
	certificate, key := by.signed(subject)
	p.copyFiles(folder, map[string]string{"tls.crt": certificate, "tls.key": key, "ca.crt": by.file})
}

// startNodes runs the StatefulSet until the test ends.
func (p *pods) startNodes() {
	p.t.Helper()
	nats := named(p.t, p.all, "StatefulSet", "nats")
	for n := range nats.Spec.Replicas {
		p.startNode(nats, n)
	}
}

func (p *pods) startNode(nats manifest, n int) {
	p.t.Helper()
	c, files := nats.container(p.t), p.mount(nats)
	for name, value := range c.environment(p.config) {
		if name == "NATS_SERVER_NAME" {
			value = fmt.Sprintf("%s-%d", nats.Metadata.Name, n)
		}
		p.t.Setenv(name, files.Replace(value))
	}
	options, err := server.ProcessConfigFile(files.Replace(c.Command[len(c.Command)-1]))
	require.NoError(p.t, err)
	monitor := meshtest.FreeAddr(p.t)
	p.monitors = append(p.monitors, monitor)
	options.HTTPHost, options.HTTPPort = hostPort(p.t, monitor)
	options.Host, options.Port = hostPort(p.t, p.addresses[fmt.Sprint(n, ":4222")])
	options.Cluster.Host, options.Cluster.Port = hostPort(p.t, p.addresses[fmt.Sprint(n, ":6222")])
	options.NoSigs = true
	s, err := server.NewServer(options)
	require.NoError(p.t, err)
	p.t.Cleanup(s.WaitForShutdown)
	p.t.Cleanup(s.Shutdown)
	s.Start()
}

func hostPort(t *testing.T, address string) (host string, port int) {
	t.Helper()
	tcp, err := net.ResolveTCPAddr("tcp", address)
	require.NoError(t, err)
	return tcp.IP.String(), tcp.Port
}

// command is a container's process: what runs it, and where its ports are here.
func (p *pods) command(m manifest, out io.Writer) (run func(context.Context) int, ports map[string]string) {
	p.t.Helper()
	c, files := m.container(p.t), p.mount(m)
	environment := c.environment(p.config)
	for _, variable := range c.Env {
		if variable.ValueFrom != nil && variable.ValueFrom.SecretKeyRef.Key == "secret" {
			environment[variable.Name] = webhookSecret
		}
	}
	ports = map[string]string{}
	var args []string
	for _, arg := range c.Args {
		for _, port := range c.Ports {
			if strings.HasSuffix(arg, fmt.Sprintf("=:%d", port.ContainerPort)) {
				ports[port.Name] = meshtest.FreeAddr(p.t)
				arg = strings.Replace(arg, fmt.Sprintf(":%d", port.ContainerPort), ports[port.Name], 1)
			}
		}
		args = append(args, files.Replace(arg))
	}
	process := cli.Process{
		Args: args, In: strings.NewReader(""), Out: out, Err: out, Version: "test",
		LookupEnv: func(name string) (string, bool) { value, ok := environment[name]; return files.Replace(value), ok },
	}
	return func(ctx context.Context) int { return cli.Execute(ctx, process) }, ports
}

// runJob runs a Job until it succeeds, as often as it may try.
func (p *pods) runJob(name string, tries int) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Minute)
	defer cancel()
	var out output
	run, _ := p.command(named(p.t, p.all, "Job", name), &out)
	for range tries {
		if run(ctx) == 0 {
			return
		}
	}
	require.Fail(p.t, "the job failed", "%s", &out)
}

// deploy runs one pod of a Deployment until the test ends, and waits for its probes. It returns its ports.
func (p *pods) deploy(name string) map[string]string {
	p.t.Helper()
	m := named(p.t, p.all, "Deployment", name)
	var out output
	run, ports := p.command(m, &out)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan int, 1)
	go func() { ended <- run(ctx) }()
	p.t.Cleanup(func() {
		cancel()
		assert.Zero(p.t, <-ended, name)
		assert.NotContains(p.t, out.String(), "Permissions Violation", name)
		if p.t.Failed() {
			p.t.Log(name, out.String())
		}
	})
	for purpose, probe := range m.container(p.t).probes() {
		p.succeeds(fmt.Sprint(name, "'s ", purpose), "http://"+ports[probe.HTTPGet.Port]+probe.HTTPGet.Path, &out)
	}
	return ports
}

// succeeds waits for a 200, as a probe does.
func (p *pods) succeeds(what, url string, log fmt.Stringer) {
	p.t.Helper()
	require.Eventually(p.t, func() bool { status, _ := get(p.t, url); return status == http.StatusOK }, time.Minute, 50*time.Millisecond, "%s: %s\n%s", what, url, log)
}

// get is the status and the body at an address, whoever signed its certificate; 0 is no answer.
func get(t *testing.T, url string) (int, string) {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer transport.CloseIdleConnections()
	answer, err := (&http.Client{Transport: transport, Timeout: 5 * time.Second}).Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return answer.StatusCode, string(body)
}

// TestManifestsRunAMesh: three nodes, the job, and each part of genmesh start with exactly what the manifests give them; their probes
// succeed, and a webhook goes in and out.
func TestManifestsRunAMesh(t *testing.T) {
	p := newPods(t)
	p.startNodes()
	node := named(t, p.all, "StatefulSet", "nats").container(t).probes()
	for _, monitor := range p.monitors {
		for purpose, probe := range node {
			url := strings.Replace(probe.Exec.Command[len(probe.Exec.Command)-1], "127.0.0.1:8222", monitor, 1)
			p.succeeds("a node's "+purpose, url, &output{})
		}
	}
	p.runJob("apply", 10)
	ingress, workers, console := p.deploy("ingress"), p.deploy("workers"), p.deploy("console")
	assert.ElementsMatch(t, []string{"webhooks", "metrics"}, slices.Collect(maps.Keys(ingress)))

	webhook := "http://" + ingress["webhooks"] + "/webhooks/genesys"
	body := `{"id":"4f1c2f6e","timestamp":1767225600,"eventTypeId":"interaction","data":{"id":"987654321","type":"call"}}`
	require.Equal(t, http.StatusAccepted, deliver(t, webhook, body))
	require.Equal(t, http.StatusOK, deliver(t, webhook, body))
	for _, subscriber := range []string{"crm", "analytics", "compliance"} {
		taken := regexp.MustCompile(`(?m)^genmesh_worker_attempts_total\{[^}]*subscriber="` + subscriber + `"[^}]*\} 1$`)
		require.Eventually(t, func() bool {
			_, metrics := get(t, "http://"+workers["metrics"]+"/metrics")
			return taken.MatchString(metrics)
		}, time.Minute, 50*time.Millisecond, subscriber)
	}
	status, _ := get(t, "https://"+console["console"]+"/api/v1/overview")
	assert.Equal(t, http.StatusUnauthorized, status, "a console asks who somebody is")
}

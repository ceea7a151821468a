package deploy_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"
)

// kustomization is what the tests look at of the one that ships. Paths count from the folder of the repository.
type kustomization struct {
	Resources          []string
	ConfigMapGenerator []struct {
		Name     string
		Files    []string
		Literals []string
	}
	SecretGenerator []any
}

// manifest is an object of Kubernetes, with the fields that the tests look at.
type manifest struct {
	Kind     string
	Metadata struct {
		Name   string
		Labels map[string]string
	}
	AutomountServiceAccountToken *bool
	Spec                         struct {
		Replicas int
		// Selector is labels themselves in a Service, and has them in matchLabels elsewhere.
		Selector             json.RawMessage
		PodSelector          *selector
		ServiceName          string
		ClusterIP            string
		Ports                []servicePort
		Ingress, Egress      []rule
		Template             pod
		VolumeClaimTemplates []claim
	}
}

// claim is one for a disk.
type claim struct {
	Metadata struct{ Name string }
	Spec     struct {
		Resources struct{ Requests struct{ Storage string } }
	}
}

type selector struct{ MatchLabels map[string]string }

type servicePort struct {
	Name       string
	TargetPort string
}

// rule is one of a NetworkPolicy.
type rule struct {
	From, To []struct{ PodSelector *selector }
}

// pod is the template of one.
type pod struct {
	Metadata struct {
		Labels      map[string]string
		Annotations map[string]string
	}
	Spec struct {
		ServiceAccountName            string
		AutomountServiceAccountToken  *bool
		EnableServiceLinks            *bool
		TerminationGracePeriodSeconds int
		SecurityContext               struct {
			RunAsNonRoot   bool
			RunAsUser      int
			FSGroup        int
			SeccompProfile struct{ Type string }
		}
		TopologySpreadConstraints []struct{ LabelSelector selector }
		InitContainers            []container
		Containers                []container
		Volumes                   []struct {
			Name      string
			ConfigMap *struct{ Name string }
			Secret    *struct{ SecretName string }
		}
	}
}

type container struct {
	Name, Image   string
	Command, Args []string
	Env           []struct {
		Name, Value string
		ValueFrom   *struct {
			FieldRef     *struct{ FieldPath string }
			SecretKeyRef *struct{ Name, Key string }
		}
	}
	EnvFrom []struct {
		ConfigMapRef *struct{ Name string }
	}
	Ports []struct {
		Name          string
		ContainerPort int
	}
	StartupProbe, ReadinessProbe, LivenessProbe *probe
	Lifecycle                                   struct {
		PreStop *struct {
			Sleep *struct{ Seconds int }
		}
	}
	Resources struct {
		Requests, Limits struct{ CPU, Memory string }
	}
	SecurityContext struct {
		AllowPrivilegeEscalation *bool
		ReadOnlyRootFilesystem   bool
		Privileged               bool
		Capabilities             struct{ Add, Drop []string }
	}
	VolumeMounts []struct{ Name, MountPath string }
}

type probe struct {
	HTTPGet *struct{ Path, Port string }
	Exec    *struct{ Command []string }
}

func readKustomization(t *testing.T) (k kustomization) {
	t.Helper()
	documents(t, "../kustomization.yaml", func(raw []byte) { require.NoError(t, json.Unmarshal(raw, &k)) })
	return k
}

// readManifests are all objects that the kustomization has, but what it generates.
func readManifests(t *testing.T) (all []manifest) {
	t.Helper()
	for _, name := range readKustomization(t).Resources {
		documents(t, filepath.Join("..", name), func(raw []byte) {
			var m manifest
			require.NoError(t, json.Unmarshal(raw, &m), name)
			all = append(all, m)
		})
	}
	return all
}

// documents hands over each document of a YAML file, as JSON, whose decoder finds fields in any case.
func documents(t *testing.T, name string, each func(raw []byte)) {
	t.Helper()
	file, err := os.Open(name)
	require.NoError(t, err)
	defer file.Close()
	for decoder := yaml.NewDecoder(file); ; {
		var document any
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			return
		}
		require.NoError(t, err, name)
		raw, err := json.Marshal(document)
		require.NoError(t, err, name)
		each(raw)
	}
}

// named is the one object of that kind and name.
func named(t *testing.T, all []manifest, kind, name string) manifest {
	t.Helper()
	for _, m := range all {
		if m.Kind == kind && m.Metadata.Name == name {
			return m
		}
	}
	require.Fail(t, "no such object", "%s %s", kind, name)
	return manifest{}
}

// workloads are the objects that make pods.
func workloads(all []manifest) (found []manifest) {
	for _, m := range all {
		if len(m.Spec.Template.Spec.Containers) > 0 {
			found = append(found, m)
		}
	}
	return found
}

// container is the only one of a workload's pods.
func (m manifest) container(t *testing.T) container {
	t.Helper()
	require.Len(t, m.Spec.Template.Spec.Containers, 1, m.Metadata.Name)
	require.Empty(t, m.Spec.Template.Spec.InitContainers, m.Metadata.Name)
	return m.Spec.Template.Spec.Containers[0]
}

func (m manifest) runsGenmesh() bool { return m.Metadata.Labels["app.kubernetes.io/name"] == "genmesh" }

// selects are the labels that the object looks for; none selects all.
func (m manifest) selects(t *testing.T) map[string]string {
	t.Helper()
	if m.Spec.PodSelector != nil {
		return m.Spec.PodSelector.MatchLabels
	}
	if m.Kind == "Service" {
		labels := map[string]string{}
		require.NoError(t, json.Unmarshal(m.Spec.Selector, &labels))
		return labels
	}
	var s selector
	require.NoError(t, json.Unmarshal(m.Spec.Selector, &s))
	return s.MatchLabels
}

// literals are the values of a generated ConfigMap.
func (k kustomization) literals(name string) map[string]string {
	values := map[string]string{}
	for _, g := range k.ConfigMapGenerator {
		for _, literal := range g.Literals {
			if key, value, _ := strings.Cut(literal, "="); g.Name == name {
				values[key] = value
			}
		}
	}
	return values
}

// files are those of a generated ConfigMap, by the name that they get.
func (k kustomization) files(name string) map[string]string {
	files := map[string]string{}
	for _, g := range k.ConfigMapGenerator {
		for _, file := range g.Files {
			if g.Name == name {
				files[filepath.Base(file)] = filepath.Join("..", file)
			}
		}
	}
	return files
}

// environment is what a container's process is told, without the values of secrets and of what differs from pod to pod.
func (c container) environment(k kustomization) map[string]string {
	values := map[string]string{}
	for _, from := range c.EnvFrom {
		if from.ConfigMapRef != nil {
			for name, value := range k.literals(from.ConfigMapRef.Name) {
				values[name] = value
			}
		}
	}
	for _, variable := range c.Env {
		values[variable.Name] = variable.Value
	}
	return values
}

// probes are the container's, by what they are for.
func (c container) probes() map[string]*probe {
	return map[string]*probe{"startup": c.StartupProbe, "readiness": c.ReadinessProbe, "liveness": c.LivenessProbe}
}

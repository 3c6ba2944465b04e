// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/leaderworkerset/lws-operator/test/cluster"
	"github.com/leaderworkerset/lws-operator/test/objects"
)

// Controller describes a controller of LeaderWorkerSets. Command and Files may contain placeholders:
//
//	{kubeconfig}    path of a kubeconfig for User
//	{dir}           directory with the webhooks' tls.crt and tls.key, and the Files
//	{host}          address to serve on
//	{webhook-port}  port for the webhooks of Manifests
//	{health-port}   port on which the controller must serve /readyz, by HTTP
//	{metrics-port}  port on which the controller may serve metrics, by HTTP
type Controller struct {
	// Name is the controller's name in reports.
	Name string `json:"name"`
	// Command is the path of the program and its arguments.
	Command []string `json:"command"`
	// User is the user of the controller's kubeconfig. A service account is also a member of its groups.
	User string `json:"user"`
	// CRDs are paths of CustomResourceDefinitions. They are installed before the start of the cluster's garbage collector,
	// which then knows them from the start.
	CRDs []string `json:"crds"`
	// Manifests are paths of YAML files and of directories with kustomizations. Objects that need kubelets, such as
	// Deployments, are left out.
	Manifests []string `json:"manifests"`
	// Files has the content of further files by name, such as a configuration file.
	Files map[string]string `json:"files,omitempty"`
}

// configFile is the name of the operator's configuration file.
const configFile = "config.yaml"

// ourConfiguration is the operator's configuration. There is one replica, and nobody calls it while it ends.
const ourConfiguration = `apiVersion: config.leaderworkerset.x-k8s.io/v1alpha1
kind: OperatorConfiguration
leaderElection: {leaderElect: false}
webhook: {host: "{host}", port: {webhook-port}, certificate: {files: {directory: "{dir}"}}}
metrics: {bindAddress: "{host}:{metrics-port}", secure: false}
health: {bindAddress: "{host}:{health-port}"}
shutdown: {delay: 0s}
`

// Ours describes this repository's operator. path is its binary; root is the root of the repository.
func Ours(root, path string, extraFlags ...string) Controller {
	return Controller{
		Name:      "lws-operator",
		Command:   append([]string{path, "--kubeconfig={kubeconfig}", "--config={dir}/" + configFile}, extraFlags...),
		Files:     map[string]string{configFile: ourConfiguration},
		User:      User,
		CRDs:      []string{filepath.Join(root, "config", "crd", "bases")},
		Manifests: []string{filepath.Join(root, "config", "default")},
	}
}

// Configured returns the operator with further lines in its configuration file.
func (c Controller) Configured(lines string) Controller {
	c.Files = maps.Clone(c.Files)
	c.Files[configFile] += lines
	return c
}

// ReadController reads the description of a controller from a YAML file. Relative paths in it are relative to the file.
func ReadController(file string) (Controller, error) {
	var c Controller
	data, err := os.ReadFile(file)
	if err != nil {
		return c, err
	}
	if err := yaml.UnmarshalStrict(data, &c); err != nil {
		return c, fmt.Errorf("%s: %w", file, err)
	}
	if c.Name == "" || len(c.Command) == 0 || c.User == "" || len(c.CRDs) == 0 {
		return c, fmt.Errorf("%s: a controller needs name, command, user and crds", file)
	}
	dir, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return c, err
	}
	for _, paths := range [][]string{c.Command[:1], c.CRDs, c.Manifests} {
		for i, path := range paths {
			if !filepath.IsAbs(path) {
				paths[i] = filepath.Join(dir, path)
			}
		}
	}
	return c, nil
}

// groupsOf returns the groups of a service account. Other users have no groups.
func groupsOf(user string) []string {
	account, ok := strings.CutPrefix(user, "system:serviceaccount:")
	if !ok {
		return nil
	}
	namespace, _, _ := strings.Cut(account, ":")
	return []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace}
}

// objects returns the installable objects of the manifests. root is the repository for which cluster.Build has made
// kubectl.
func (c Controller) objects(ctx context.Context, root string) ([]*unstructured.Unstructured, error) {
	var found []*unstructured.Unstructured
	for _, path := range c.Manifests {
		decoded, err := Manifests(ctx, root, path)
		if err != nil {
			return nil, err
		}
		for _, object := range decoded {
			if installable[object.GetKind()] {
				found = append(found, object)
			}
		}
	}
	return found, nil
}

// Manifests returns the objects of a YAML file or of the kustomization in a directory. root is the repository whose bin
// directory has kubectl.
func Manifests(ctx context.Context, root, path string) ([]*unstructured.Unstructured, error) {
	text, err := manifest(ctx, root, path)
	if err != nil {
		return nil, err
	}
	decoded, err := objects.Decode(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return decoded, nil
}

// manifest returns the text of a YAML file or of a kustomization.
func manifest(ctx context.Context, root, path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return os.ReadFile(path)
	}
	kustomize := exec.CommandContext(ctx, filepath.Join(cluster.Bin(root), "kubectl"), "kustomize", path)
	var stdout, stderr bytes.Buffer
	kustomize.Stdout, kustomize.Stderr = &stdout, &stderr
	if err := kustomize.Run(); err != nil {
		return nil, fmt.Errorf("kubectl kustomize: %w\n%s", err, stderr.Bytes())
	}
	return stdout.Bytes(), nil
}

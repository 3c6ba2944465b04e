// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package pages

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	yamlutil "k8s.io/apimachinery/pkg/util/yaml"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"

	configv1alpha1 "github.com/leaderworkerset/lws-operator/api/config/v1alpha1"
	disaggregatedsetv1 "github.com/leaderworkerset/lws-operator/api/disaggregatedset/v1"
	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// foreign are kinds whose types aren't a dependency of the operator. Their blocks are only checked as YAML.
var foreign = []string{
	"Application", "CatalogSource", "ClusterExtension", "Component", "Kustomization", "ScaledObject", "Subscription",
}

// elsewhere is the page whose configuration files a test of package config loads. One has mistakes on purpose.
const elsewhere = "docs/operate/configuration.md"

// TestYAML decodes each YAML block strictly: whole objects by the type of their kind, and pieces of a LeaderWorkerSet,
// which begin with its fields, as such.
func TestYAML(t *testing.T) {
	decoder, err := strictDecoder()
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, page := range all(t) {
		for _, block := range page.Blocks {
			if block.Language != "yaml" ||
				page.Path == elsewhere && strings.Contains(block.Text, "kind: "+configv1alpha1.Kind) {
				continue
			}
			found++
			if err := decode(decoder, block.Text); err != nil {
				t.Errorf("%s:%d: %v", page.Path, block.Line, err)
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d blocks", found)
	}
}

// strictDecoder decodes objects of Kubernetes and of the operator's APIs, and refuses unknown and repeated fields.
func strictDecoder() (runtime.Decoder, error) {
	scheme := runtime.NewScheme()
	err := errors.Join(clientgoscheme.AddToScheme(scheme), apiextensionsv1.AddToScheme(scheme),
		leaderworkersetv1.AddToScheme(scheme), disaggregatedsetv1.AddToScheme(scheme))
	return serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer(), err
}

// decode decodes the documents of a block.
func decode(decoder runtime.Decoder, text string) error {
	documents := yamlutil.NewYAMLReader(bufio.NewReader(strings.NewReader(text)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := decodeDocument(decoder, document); err != nil {
			return err
		}
	}
}

// decodeDocument decodes a whole object or a piece of one.
func decodeDocument(decoder runtime.Decoder, document []byte) error {
	var content any
	if err := yaml.UnmarshalStrict(document, &content); err != nil {
		return err
	}
	fields, isObject := content.(map[string]any)
	if !isObject {
		return nil // A piece of a list.
	}
	kind, _ := fields["kind"].(string)
	switch {
	case kind == configv1alpha1.Kind:
		return yaml.UnmarshalStrict(document, &configv1alpha1.OperatorConfiguration{})
	case kind != "" && slices.Contains(foreign, kind):
		return nil
	case kind != "":
		_, _, err := decoder.Decode(document, nil, nil)
		return err
	case isPieceOfSet(fields):
		return yaml.UnmarshalStrict(document, &leaderworkersetv1.LeaderWorkerSet{})
	default:
		return nil
	}
}

// isPieceOfSet reports whether fields are those of a LeaderWorkerSet.
func isPieceOfSet(fields map[string]any) bool {
	spec, _ := fields["spec"].(map[string]any)
	for name := range spec {
		if slices.Contains([]string{"rolloutStrategy", "leaderWorkerTemplate", "scheduling", "startupPolicy"}, name) {
			return true
		}
	}
	return false
}

// verbs has a file for each verb of the plugin.
const verbs = "cmd/kubectl-lws/internal/command"

var (
	makeTargets = regexp.MustCompile(`(?m)^([a-z0-9-]+):`)
	madeTargets = regexp.MustCompile(`(?m)^\$? ?make ((?:[a-z0-9-]+ ?)+)`)
	pluginVerbs = regexp.MustCompile(`kubectl lws ([a-z-]+)`)
)

// TestCommands checks that the targets of make exist that blocks call, and the verbs of the plugin.
func TestCommands(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	targets := map[string]bool{}
	for _, found := range makeTargets.FindAllStringSubmatch(string(makefile), -1) {
		targets[found[1]] = true
	}
	for _, page := range all(t) {
		for _, block := range page.Blocks {
			if block.Language != "console" && block.Language != "sh" {
				continue
			}
			where := fmt.Sprintf("%s:%d", page.Path, block.Line)
			for _, found := range madeTargets.FindAllStringSubmatch(block.Text, -1) {
				for target := range strings.FieldsSeq(found[1]) {
					if !targets[target] {
						t.Errorf("%s: there is no target %s", where, target)
					}
				}
			}
			for _, found := range pluginVerbs.FindAllStringSubmatch(block.Text, -1) {
				file := filepath.Join(root, verbs, strings.ReplaceAll(found[1], "-", "_")+".go")
				if _, err := os.Stat(file); err != nil {
					t.Errorf("%s: there is no verb %s", where, found[1])
				}
			}
		}
	}
}

// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/yaml"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// crdFile is the name of the CRD's manifest in config/crd/bases.
const crdFile = "leaderworkerset.x-k8s.io_leaderworkersets.yaml"

// property is the schema of a field.
type property struct {
	Type                 string               `json:"type"`
	Format               string               `json:"format"`
	Pattern              string               `json:"pattern"`
	Enum                 []any                `json:"enum"`
	IntOrString          bool                 `json:"x-kubernetes-int-or-string"`
	Properties           map[string]*property `json:"properties"`
	AdditionalProperties *property            `json:"additionalProperties"`
	Items                *property            `json:"items"`
	Required             []string             `json:"required"`
}

// edgeValues are values, by the kind of their field, that a schema may accept and a Go type may not hold.
var (
	edgeValues = map[string][]any{
		"integer": {
			json.Number("2147483648"), json.Number("-2147483649"), json.Number("9223372036854775808"), json.Number("1e3"),
			json.Number("1e30"), json.Number("1.0"), json.Number("1.5"),
		},
		"integer or string": {
			json.Number("2147483648"), json.Number("-2147483649"), json.Number("9223372036854775808"), json.Number("1e30"),
			json.Number("1.0"), json.Number("1.5"), "", "a",
		},
		"quantity": {
			json.Number("2147483648"), json.Number("9223372036854775808"), json.Number("1e30"), json.Number("1.5"), "", "a",
			"1E", "1e",
			"1e1.5", "1e.5", "1e99", "1e99999999999", "99999999999999999999999999999999", ".5", "5.", "1 Gi", "1KI",
		},
		"date-time": {
			"", "a", "2020-01-01", "2020-01-01T00:00:00", "2020-01-01 00:00:00Z", "2020-01-01T00:00:00.000+0000",
			"2020-01-01T24:00:00Z",
			"2020-01-01t00:00:00z",
		},
	}
)

// TestAcceptedSpecsAreReadable sets each field of a spec to edge values. The operator must be able to decode each
// accepted value. It lists all sets at once, so a single set that it can't decode would stop it for all sets.
func TestAcceptedSpecsAreReadable(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t, webhooksOff)
	tried, accepted := 0, 0
	specSchema(t).visit("spec", func(value any) any { return value }, func(path string, p *property, spec func(any) any) {
		// leaderTemplate has the type of workerTemplate.
		if len(edgeValues[p.kind()]) == 0 || strings.HasPrefix(path, leaderTemplate) {
			return
		}
		if err := suite.client.Create(t.Context(), setOfSpec(namespace, spec(p.example())), dryRun); err != nil {
			t.Errorf("%s: the API server accepts no value: %v", path, err)
		}
		for _, value := range edgeValues[p.kind()] {
			tried++
			set := setOfSpec(namespace, spec(value))
			err := suite.client.Create(t.Context(), set, dryRun)
			if apierrors.IsInvalid(err) {
				continue
			}
			if err != nil {
				t.Errorf("%s: %v: %v", path, value, err)
				continue
			}
			accepted++
			cause := decodeError(set)
			if cause != nil {
				t.Errorf("%s: the schema accepts %v: %v", path, value, cause)
			}
		}
	})
	t.Logf("%d values tried, %d accepted", tried, accepted)
}

// checksInt32 reports whether the API server checks the format int32 of the fields of a CRD. Kubernetes does that from
// 1.36 on. Before, the bounds that crdfit writes into the schema refuse integers that the operator's types can't hold.
func checksInt32(t *testing.T) bool {
	t.Helper()
	client, err := discovery.NewDiscoveryClientForConfig(suite.config)
	if err != nil {
		t.Fatal(err)
	}
	found, err := client.ServerVersion()
	if err != nil {
		t.Fatal(err)
	}
	minor, err := strconv.Atoi(found.Minor)
	if err != nil {
		t.Fatal(err)
	}
	return minor >= 36
}

// decodeError returns the error of decoding a set into the operator's type.
func decodeError(set *unstructured.Unstructured) error {
	data, err := set.MarshalJSON()
	if err != nil {
		return err
	}
	return json.Unmarshal(data, &leaderworkersetv1.LeaderWorkerSet{})
}

func setOfSpec(namespace string, spec any) *unstructured.Unstructured {
	set := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	set.SetAPIVersion(leaderworkersetv1.GroupVersion.String())
	set.SetKind("LeaderWorkerSet")
	set.SetNamespace(namespace)
	set.SetName("set")
	return set
}

// specSchema returns the schema of the field spec.
func specSchema(t *testing.T) *property {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(suite.root, "config", "crd", "bases", crdFile))
	if err != nil {
		t.Fatal(err)
	}
	var crd struct {
		Spec struct {
			Versions []struct {
				Schema struct {
					OpenAPIV3Schema property `json:"openAPIV3Schema"`
				} `json:"schema"`
			} `json:"versions"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal(data, &crd); err != nil {
		t.Fatal(err)
	}
	return crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"]
}

// kind returns the kind of a field that has a single value.
func (p *property) kind() string {
	switch {
	case p.IntOrString && p.Pattern != "":
		return "quantity"
	case p.IntOrString:
		return "integer or string"
	case p.Type == "string":
		return p.Format
	default:
		return p.Type
	}
}

// visit calls leaf for each field with a single value, in and below p. The leaf's function spec makes a spec with a
// value of that field. wrap makes a spec with a value of p.
func (p *property) visit(path string, wrap func(any) any, leaf func(path string, p *property, spec func(any) any)) {
	switch {
	case p.Items != nil:
		p.Items.visit(path+"[]", func(value any) any { return wrap([]any{value}) }, leaf)
	case p.AdditionalProperties != nil:
		p.AdditionalProperties.visit(path+"{}", func(value any) any { return wrap(map[string]any{"a": value}) }, leaf)
	case p.Properties != nil:
		for name, property := range p.Properties {
			property.visit(path+"."+name, func(value any) any {
				object := p.minimalObject()
				object[name] = value
				return wrap(object)
			}, leaf)
		}
	default:
		leaf(path, p, wrap)
	}
}

// minimalObject returns an object with the required fields only. In a template, the field spec counts as required.
func (p *property) minimalObject() map[string]any {
	required := p.Required
	if p.isTemplate() {
		required = []string{"spec"}
	}
	object := map[string]any{}
	for _, name := range required {
		object[name] = p.Properties[name].example()
	}
	return object
}

func (p *property) isTemplate() bool {
	return slices.Equal(slices.Sorted(maps.Keys(p.Properties)), []string{"metadata", "spec"}) &&
		p.Properties["spec"].Properties["containers"] != nil
}

// example returns a value that the schema accepts.
func (p *property) example() any {
	switch {
	case len(p.Enum) > 0:
		return p.Enum[0]
	case p.IntOrString || p.Type == "integer":
		return int64(1)
	case p.Format == "date-time":
		return "2020-01-01T00:00:00Z"
	case p.Type == "string":
		return "a"
	case p.Items != nil:
		return []any{p.Items.example()}
	default:
		return p.minimalObject()
	}
}

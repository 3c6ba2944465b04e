// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	gojson "encoding/json"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/json"

	"github.com/leaderworkerset/lws-operator/api/config/v1alpha1"
)

// decode writes the fields of a YAML document over those of the configuration. It returns all fields that are unknown,
// that occur twice, or that have a value of the wrong type: such a field keeps its value. The second result is an error
// if the data isn't one YAML mapping.
func decode(data []byte, into *v1alpha1.OperatorConfiguration) (field.ErrorList, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return nil, errors.New("the file is empty")
	} else if err != nil {
		return nil, err
	}
	if err := decoder.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return nil, errors.New("the file has more than one YAML document")
	}
	root := document.Content[0]
	if root.Kind != yaml.MappingNode {
		return nil, errors.New("the file isn't a YAML mapping")
	}
	d := &decoding{into: into}
	d.mapping(nil, root)
	return d.mistakes, nil
}

// decoding decodes a document value by value, each by itself: so that every mistake has a path, and none hides another.
type decoding struct {
	into     *v1alpha1.OperatorConfiguration
	mistakes field.ErrorList
}

// mapping decodes the fields of a mapping at a path.
func (d *decoding) mapping(path []string, node *yaml.Node) {
	var seen []string
	for i := 0; i+1 < len(node.Content); i += 2 {
		name, value := node.Content[i].Value, node.Content[i+1]
		child := append(slices.Clone(path), name)
		switch {
		case slices.Contains(seen, name):
			d.add(field.Duplicate(at(child), field.OmitValueType{}))
		case value.Kind == yaml.MappingNode && len(value.Content) > 0:
			d.mapping(child, value)
		case value.Kind == yaml.AliasNode:
			d.add(field.Forbidden(at(child), "the file must not have YAML aliases"))
		default:
			d.value(child, value)
		}
		seen = append(seen, name)
	}
}

// value decodes a scalar, a list or an empty mapping.
func (d *decoding) value(path []string, node *yaml.Node) {
	var value any
	if err := node.Decode(&value); err != nil {
		d.add(field.Invalid(at(path), node.Value, err.Error()))
		return
	}
	nested := value
	for _, name := range slices.Backward(path) {
		nested = map[string]any{name: nested}
	}
	text, err := gojson.Marshal(nested)
	if err != nil {
		d.add(field.Invalid(at(path), node.Value, err.Error()))
		return
	}
	unknown, err := json.UnmarshalStrict(text, d.into)
	if err != nil {
		d.add(field.TypeInvalid(at(path), value, expected(err, path)))
	}
	for _, err := range unknown {
		d.addUnknown(err)
	}
}

// addUnknown adds a field that no type has, unless it is there because of another of the fields below it.
func (d *decoding) addUnknown(err error) {
	var unknown json.FieldError
	if !errors.As(err, &unknown) {
		d.add(field.InternalError(nil, err))
		return
	}
	mistake := field.Forbidden(field.NewPath(unknown.FieldPath()), "unknown field")
	if !slices.ContainsFunc(d.mistakes, func(known *field.Error) bool { return known.Error() == mistake.Error() }) {
		d.add(mistake)
	}
}

func (d *decoding) add(mistake *field.Error) { d.mistakes = append(d.mistakes, mistake) }

func at(path []string) *field.Path { return field.NewPath(path[0], path[1:]...) }

// expected says what the value at a path has to be that can't be decoded.
func expected(err error, path []string) string {
	var mismatch *gojson.UnmarshalTypeError
	if !errors.As(err, &mismatch) {
		return "must be a duration, such as 1m30s" // The only type that parses its text.
	}
	switch mismatch.Type.Kind() {
	case reflect.Bool:
		return "must be true or false"
	case reflect.Int32:
		return "must be an integer of 32 bits"
	case reflect.Float32:
		return "must be a number"
	case reflect.Slice:
		return "must be a list"
	case reflect.Map, reflect.Struct:
		return "must be a mapping"
	default:
		return "must be a string" + exampleOf(path)
	}
}

// exampleOf returns an example of the text at a path, for fields that users write as a number by mistake.
func exampleOf(path []string) string {
	switch {
	case typeAt(path) == reflect.TypeFor[metav1.Duration]():
		return "; a duration has a unit, such as 10s"
	case path[len(path)-1] == "bindAddress":
		return `, such as ":8443"`
	default:
		return ""
	}
}

// typeAt returns the type of the field at a path, or that of what it points to; nil if there is no such field.
func typeAt(path []string) reflect.Type {
	found := reflect.TypeFor[v1alpha1.OperatorConfiguration]()
	for _, name := range path {
		if found.Kind() != reflect.Struct {
			return nil
		}
		fields := reflect.VisibleFields(found)
		i := slices.IndexFunc(fields, func(f reflect.StructField) bool {
			tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			return tag == name
		})
		if i < 0 {
			return nil
		}
		if found = fields[i].Type; found.Kind() == reflect.Pointer {
			found = found.Elem()
		}
	}
	return found
}

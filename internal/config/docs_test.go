// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/leaderworkerset/lws-operator/api/config/v1alpha1"
)

var update = flag.Bool("update", false, "write the tables and the message in docs/operate/configuration.md")

var page = filepath.Join("..", "..", "docs", "operate", "configuration.md")

// TestPage compares what docs/operate/configuration.md says with the types, their comments, and the flags.
func TestPage(t *testing.T) {
	before, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	text := replaceTable(t, string(before), "| field | default | meaning |", fieldTable(t))
	text = replaceTable(t, text, "| flag | field |", flagTable())
	text = replaceMessage(t, text)
	if *update {
		if err := os.WriteFile(page, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(text, string(before)); diff != "" && !*update {
		t.Errorf("docs/operate/configuration.md differs from the code (-code +page); -update writes it:\n%s", diff)
	}
}

// TestPageFiles loads the files on the page that aren't there for their mistakes.
func TestPageFiles(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	files := documents(string(text))
	if len(files) != 2 {
		t.Fatalf("%d files; want a right one and a wrong one", len(files))
	}
	settings, err := load(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if got := settings.Profiling.BindAddress; got != "127.0.0.1:6060" {
		t.Errorf("the address is %q", got)
	}
}

// documents returns the configuration files in a page.
func documents(text string) []string {
	var found []string
	for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(text, -1) {
		if strings.Contains(block[1], "kind: "+v1alpha1.Kind) {
			found = append(found, block[1])
		}
	}
	return found
}

// replaceMessage writes the message that the operator has for the page's second file after that file.
func replaceMessage(t *testing.T, text string) string {
	t.Helper()
	files := documents(text)
	_, err := load(files[len(files)-1])
	if err == nil {
		t.Fatal("the page's last file has no mistakes")
	}
	message := regexp.MustCompile("(?s)```\nthe configuration.*?```")
	return message.ReplaceAllLiteralString(text, "```\n"+err.Error()+"\n```")
}

// replaceTable replaces the rows of the table with a header.
func replaceTable(t *testing.T, text, header string, rows []string) string {
	t.Helper()
	above, below, found := strings.Cut(text, header+"\n")
	if !found {
		t.Fatalf("there is no table %s", header)
	}
	lines := strings.SplitAfter(below, "\n")
	end := 0
	for end < len(lines) && strings.HasPrefix(lines[end], "|") {
		end++
	}
	return above + header + "\n" + lines[0] + strings.Join(rows, "") + strings.Join(lines[end:], "")
}

// flagTable returns a row for each hidden flag.
func flagTable() []string {
	configuration := Default()
	var rows []string
	newFlags(&configuration, io.Discard).all.VisitAll(func(each *pflag.Flag) {
		if each.Hidden {
			path := strings.TrimSuffix(strings.TrimPrefix(each.Usage, "the field "), " of the configuration file")
			rows = append(rows, fmt.Sprintf("| %#q | %#q |\n", "--"+each.Name, path))
		}
	})
	return rows
}

// fieldTable returns a row for each field that isn't a group of others.
func fieldTable(t *testing.T) []string {
	t.Helper()
	configuration := Default()
	setCertificateDefaults(&configuration.Webhook.Certificate)
	configuration.Webhook.Certificate.Authority = &v1alpha1.CertificateAuthority{}
	table := &table{types: structs(t)}
	table.add(t, v1alpha1.Kind, "", reflect.ValueOf(configuration))
	return table.rows
}

// structs returns the struct types of the configuration by name.
func structs(t *testing.T) map[string]*ast.StructType {
	t.Helper()
	file := filepath.Join("..", "..", "api", "config", "v1alpha1", "types.go")
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]*ast.StructType{}
	ast.Inspect(parsed, func(node ast.Node) bool {
		if spec, ok := node.(*ast.TypeSpec); ok {
			if structure, ok := spec.Type.(*ast.StructType); ok {
				found[spec.Name.Name] = structure
			}
		}
		return true
	})
	return found
}

type table struct {
	types map[string]*ast.StructType
	rows  []string
}

// add adds the fields of a type, whose value has the defaults.
func (b *table) add(t *testing.T, name, path string, value reflect.Value) {
	t.Helper()
	for i, declared := range b.types[name].Fields.List {
		if len(declared.Names) == 0 {
			continue // The embedded TypeMeta.
		}
		tag := reflect.StructTag(strings.Trim(declared.Tag.Value, "`")).Get("json")
		child, _, _ := strings.Cut(tag, ",")
		fieldValue := reflect.Indirect(value.Field(i))
		if b.types[fieldValue.Type().Name()] != nil {
			b.add(t, fieldValue.Type().Name(), path+child+".", fieldValue)
			continue
		}
		b.addRow(t, path+child, strings.Join(strings.Fields(declared.Doc.Text()), " "), text(t, fieldValue))
	}
}

// addRow adds a row, whose comment must end with the default.
func (b *table) addRow(t *testing.T, path, comment, value string) {
	t.Helper()
	meaning, said, _ := strings.Cut(strings.TrimSuffix(comment, "."), " Default: ")
	required, isRequired := strings.CutSuffix(meaning, " Required")
	shown := "`" + value + "`"
	switch {
	case isRequired && value == `""`:
		meaning, shown = required, "required"
	case said != value:
		t.Errorf("the comment of %s says that its default is %q; it is %q", path, said, value)
	}
	b.rows = append(b.rows, fmt.Sprintf("| %#q | %s | %s |\n", path, shown, meaning))
}

// text returns a value as YAML.
func text(t *testing.T, value reflect.Value) string {
	t.Helper()
	encoded, err := json.Marshal(value.Interface())
	if err != nil {
		t.Fatal(err)
	}
	plain := regexp.MustCompile(`"([a-zA-Z/][^"]*|\d+[a-z][^"]*)"`).ReplaceAllString(string(encoded), "$1")
	return strings.ReplaceAll(plain, ",", ", ")
}

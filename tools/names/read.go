// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// block is a declaration of constants, with its comment.
type block struct {
	doc       string
	constants []constant
}

// constant is a constant with a string as its value. Its meaning is its comment without its name.
type constant struct{ name, value, meaning string }

// read returns the declarations of constants in a package, in the order of files and lines.
func read(folder string) ([]block, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		return nil, err
	}
	slices.Sort(files)
	var blocks []block
	values := map[string]string{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		for _, declared := range parsed.Decls {
			if general, ok := declared.(*ast.GenDecl); ok && general.Tok == token.CONST {
				blocks = append(blocks, readBlock(general, values))
			}
		}
	}
	for b := range blocks {
		for c := range blocks[b].constants {
			blocks[b].constants[c].meaning = withValues(blocks[b].constants[c].meaning, values)
		}
	}
	return blocks, nil
}

// readBlock returns a declaration, and adds the values of its constants to the known ones.
func readBlock(general *ast.GenDecl, values map[string]string) block {
	found := block{doc: "Further names:"}
	if general.Lparen.IsValid() && general.Doc != nil {
		found.doc = strings.TrimSpace(general.Doc.Text())
	}
	for _, spec := range general.Specs {
		of, ok := spec.(*ast.ValueSpec)
		if !ok || len(of.Values) != 1 {
			continue
		}
		value, ok := valueOf(of.Values[0], values)
		if !ok {
			continue
		}
		name, doc := of.Names[0].Name, of.Doc.Text()
		if doc == "" {
			doc = general.Doc.Text()
		}
		values[name] = value
		meaning := strings.Join(strings.Fields(strings.TrimPrefix(doc, name)), " ")
		found.constants = append(found.constants, constant{name, value, meaning})
	}
	return found
}

// valueOf returns the value of a string, a known constant, or the sum of two of them.
func valueOf(of ast.Expr, values map[string]string) (string, bool) {
	switch of := of.(type) {
	case *ast.BasicLit:
		value, err := strconv.Unquote(of.Value)
		return value, err == nil && of.Kind == token.STRING
	case *ast.Ident:
		value, ok := values[of.Name]
		return value, ok
	case *ast.BinaryExpr:
		left, isLeft := valueOf(of.X, values)
		right, isRight := valueOf(of.Y, values)
		return left + right, isLeft && isRight && of.Op == token.ADD
	default:
		return "", false
	}
}

var identifier = regexp.MustCompile(`\b[A-Z][A-Za-z]+[a-z][A-Z][A-Za-z]*\b|"?<[^>]+>(?:[-./:]<[^>]+>)*"?`)

// withValues returns a text with the values of constants instead of their names, and placeholders as code: Markdown
// would take them for HTML.
func withValues(text string, values map[string]string) string {
	return identifier.ReplaceAllStringFunc(text, func(word string) string {
		if value, ok := values[word]; ok {
			return "`" + value + "`"
		}
		if strings.Contains(word, "<") {
			return "`" + strings.Trim(word, `"`) + "`"
		}
		return word
	})
}

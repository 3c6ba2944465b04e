// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package screen writes what a command shows: values in, text out.
package screen

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/cli-runtime/pkg/printers"
)

// Style says how a screen may look.
type Style struct {
	// Color marks states by color. It is for terminals only.
	Color bool

	// NoHeaders leaves out the headers of tables.
	NoHeaders bool

	// Wide adds columns.
	Wide bool

	// Namespaces adds the column of the namespace.
	Namespaces bool
}

// The colors of terminals: SGR sequences.
const (
	red    = "\x1b[31m"
	yellow = "\x1b[33m"
	green  = "\x1b[32m"
	reset  = "\x1b[0m"
)

// paint colors a text. All colors have the same length, so that the columns of a table stay even.
func (s Style) paint(color, text string) string {
	if !s.Color {
		return text
	}
	return color + text + reset
}

// age returns a time as kubectl writes it, counted from now; "<unknown>" if it isn't known.
func age(since, now time.Time) string {
	if since.IsZero() {
		return "<unknown>"
	}
	return duration.HumanDuration(max(now.Sub(since), 0))
}

// table writes rows as aligned columns.
func table(out io.Writer, style Style, header []string, rows [][]string) error {
	var text bytes.Buffer
	writer := printers.GetNewTabWriter(&text)
	if !style.NoHeaders {
		rows = append([][]string{header}, rows...)
	}
	for _, row := range rows {
		if _, err := fmt.Fprintln(writer, strings.Join(row, "\t")); err != nil {
			return err
		}
	}
	if err := writer.Flush(); err != nil {
		return err
	}
	for line := range strings.Lines(text.String()) { // The last cell of a row may be empty.
		if _, err := fmt.Fprintln(out, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	return nil
}

// oneLine returns a message without line breaks: a cell of a table is one line.
func oneLine(message string) string { return strings.Join(strings.Fields(message), " ") }

func orNone(text string) string {
	if text == "" {
		return "<none>"
	}
	return text
}

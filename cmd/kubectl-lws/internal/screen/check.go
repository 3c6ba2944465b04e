// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package screen

import (
	"io"

	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/preflight"
)

// Check writes a line for each result of the preflight checks.
func Check(out io.Writer, results []preflight.Result, style Style) error {
	rows := make([][]string, 0, len(results))
	for _, result := range results {
		color := yellow
		switch result.Level {
		case preflight.OK:
			color = green
		case preflight.Failed:
			color = red
		case preflight.Warning, preflight.Unknown:
		}
		rows = append(rows, []string{result.Check, style.paint(color, string(result.Level)), oneLine(result.Text)})
	}
	return table(out, style, []string{"CHECK", style.header("RESULT"), "WHAT"}, rows)
}

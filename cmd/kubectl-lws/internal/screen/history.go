// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package screen

import (
	"fmt"
	"io"
	"strings"

	"github.com/pmezard/go-difflib/difflib"
	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/yaml"

	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/view"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/revision"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/status"
)

// History writes a line for each revision, oldest first.
func History(out io.Writer, set *view.Set, style Style) error {
	if _, err := fmt.Fprintf(out, "leaderworkerset.leaderworkerset.x-k8s.io/%s\n", set.LWS.Name); err != nil {
		return err
	}
	var rows [][]string
	for _, line := range set.History() {
		number := fmt.Sprint(line.Revision)
		if line.IsCurrent {
			number += " (current)"
		}
		groups := ""
		if len(line.Groups) > 0 {
			_, groups, _ = strings.Cut(status.Groups(line.Groups), " ")
		}
		rows = append(rows, []string{
			number, revision.Key(line.ControllerRevision), orNone(groups),
			age(line.CreationTimestamp.Time, set.Now), orNone(line.Cause),
		})
	}
	return table(out, style, []string{"REVISION", "KEY", "GROUPS", "AGE", "CHANGE-CAUSE"}, rows)
}

// RevisionText returns what pods of a revision are created from, as YAML.
func RevisionText(stored *appsv1.ControllerRevision) (string, error) {
	template, err := revision.Parse(stored)
	if err != nil {
		return "", err
	}
	// How pods are treated is no part of a revision.
	template.LeaderWorkerTemplate.RestartPolicy = ""
	template.LeaderWorkerTemplate.MaxGroupRestarts = nil
	template.LeaderWorkerTemplate.PersistentVolumeClaimRetentionPolicy = nil
	fields := map[string]any{
		"leaderWorkerTemplate": template.LeaderWorkerTemplate, "networkConfig": template.NetworkConfig,
	}
	if len(template.Placement) > 0 {
		fields["annotations"] = template.Placement
	}
	text, err := yaml.Marshal(fields)
	return string(text), err
}

// Diff returns the difference between two revisions, as diff -u writes it; empty if there is none.
func Diff(from, to *appsv1.ControllerRevision, style Style) (string, error) {
	before, err := RevisionText(from)
	if err != nil {
		return "", err
	}
	after, err := RevisionText(to)
	if err != nil {
		return "", err
	}
	text, err := difflib.GetUnifiedDiffString(difflib.UnifiedDiff{
		A: difflib.SplitLines(before), B: difflib.SplitLines(after), Context: 3,
		FromFile: title(from), ToFile: title(to),
	})
	if err != nil || !style.Color {
		return text, err
	}
	var colored strings.Builder
	for line := range strings.Lines(text) {
		switch line[0] {
		case '+':
			line = style.paint(green, strings.TrimRight(line, "\n")) + "\n"
		case '-':
			line = style.paint(red, strings.TrimRight(line, "\n")) + "\n"
		}
		colored.WriteString(line)
	}
	return colored.String(), nil
}

func title(stored *appsv1.ControllerRevision) string {
	return fmt.Sprintf("revision %d (%s)", stored.Revision, revision.Key(stored))
}

// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package gitops

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
	"sigs.k8s.io/yaml"
)

// verdicts are what each tool says of a status. docs/install/gitops.md has the same table.
var verdicts = []struct {
	status              string
	argo, flux, kstatus string
	message             string // Argo CD's
}{
	{"fresh", "Progressing", "InProgress", "InProgress", "The operator hasn't observed the last change yet"},
	{
		"creating", "Progressing", "InProgress", "InProgress",
		"1 of 3 groups are ready; group 1 LeaderNotReady, the leader pod isn't ready",
	},
	{"ready", "Healthy", "Current", "Current", "3 of 3 groups are ready"},
	{
		"rolling", "Progressing", "InProgress", "InProgress",
		"2 of 3 groups are ready, 2 have to be updated; group 2 LeaderNotReady, the leader pod isn't ready",
	},
	{"canary", "Suspended", "Current", "Current", "1 group is up to date, the partition holds the others"},
	{
		"bad-image", "Progressing", "InProgress", "InProgress",
		"2 of 3 groups are ready, 2 have to be updated; " +
			"group 2 ImagePull, llama-2, llama-2-1: ErrImagePull: serve:typo: not found",
	},
	{
		"degraded", "Degraded", "Failed", "Failed",
		"ReplicaRestartBudgetExceeded: Group 2: no restarts left after 3; last error: a container restarted in pod " +
			"llama-2-1. To try again, delete pod llama-2, annotate it with leaderworkerset.sigs.k8s.io/recover=true, or " +
			"raise maxGroupRestarts",
	},
	{
		"refused", "Progressing", "InProgress", "InProgress",
		`FailedCreate: pods "llama-1" is forbidden: exceeded quota: gpus, requested: requests.nvidia.com/gpu=8`,
	},
	{
		"refused-for-long", "Degraded", "Failed", "Failed",
		`FailedCreate: pods "llama-1" is forbidden: exceeded quota: gpus, requested: requests.nvidia.com/gpu=8`,
	},
	{"behind", "Progressing", "InProgress", "InProgress", "The operator hasn't observed the last change yet"},
}

func TestVerdicts(t *testing.T) {
	script, checks := readHealthScript(t), readHealthChecks(t)
	for _, tc := range verdicts {
		t.Run(tc.status, func(t *testing.T) {
			object := readStatus(t, tc.status)
			if got, message := argoHealth(t, script, object); got != tc.argo || message != tc.message {
				t.Errorf("Argo CD says %s, %q; want %s, %q", got, message, tc.argo, tc.message)
			}
			if got := fluxHealth(t, checks, object); got != tc.flux {
				t.Errorf("Flux says %s, want %s", got, tc.flux)
			}
			result, err := status.Compute(&unstructured.Unstructured{Object: object})
			if err != nil {
				t.Fatal(err)
			}
			if got := result.Status.String(); got != tc.kstatus {
				t.Errorf("kstatus says %s, want %s", got, tc.kstatus)
			}
		})
	}
}

// TestEveryStatusHasAVerdict checks that no golden status is left out.
func TestEveryStatusHasAVerdict(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) != len(verdicts) {
		t.Errorf("%d statuses and error %v, want %d", len(files), err, len(verdicts))
	}
}

// TestDeletion checks a set that is being deleted.
func TestDeletion(t *testing.T) {
	object := readStatus(t, "ready")
	if err := unstructured.SetNestedField(object, "2026-03-01T13:00:00Z", "metadata", "deletionTimestamp"); err != nil {
		t.Fatal(err)
	}
	if got, _ := argoHealth(t, readHealthScript(t), object); got != "Progressing" {
		t.Errorf("Argo CD says %s, want Progressing", got)
	}
}

// TestDocumentedVerdicts checks that docs/install/gitops.md shows the verdicts.
func TestDocumentedVerdicts(t *testing.T) {
	page := read(t, "../../docs/install/gitops.md")
	for _, tc := range verdicts {
		row := "| " + strings.Join([]string{"`" + tc.status + "`", tc.argo, tc.flux, tc.kstatus}, " | ") + " |"
		if !strings.Contains(page, row) {
			t.Errorf("docs/install/gitops.md lacks the row %q", row)
		}
	}
}

// readStatus reads a golden status.
func readStatus(t *testing.T, name string) map[string]any {
	t.Helper()
	object := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(read(t, filepath.Join("testdata", name+".yaml"))), &object.Object); err != nil {
		t.Fatal(err)
	}
	// As the API's clients decode it: whole numbers are integers.
	text, err := object.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	if err := object.UnmarshalJSON(text); err != nil {
		t.Fatal(err)
	}
	return object.Object
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

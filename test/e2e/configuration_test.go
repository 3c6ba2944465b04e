// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leaderworkerset/lws-operator/test/operator"
)

// TestLocalConfiguration changes the operator's configuration file and restarts the operator. The lease shows that the
// operator uses the file, and has the defaults of fields that are not in it. A file with mistakes ends the operator.
func TestLocalConfiguration(t *testing.T) {
	file := suite.operator.ConfigFile()
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	restartWith := func(t *testing.T, configuration string) {
		t.Helper()
		ctx := context.WithoutCancel(t.Context())
		if err := suite.operator.Stop(ctx); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(configuration), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := suite.operator.Start(ctx); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { restartWith(t, string(before)) })

	const elected = "leaderElection: {namespace: " + operator.Namespace + ", leaseDuration: 37s}"
	restartWith(t, strings.Replace(string(before), "leaderElection: {leaderElect: false}", elected, 1))
	eventually(t, func(ctx context.Context) error {
		lease := &coordinationv1.Lease{}
		key := client.ObjectKey{Namespace: operator.Namespace, Name: "lws-operator.leaderworkerset.x-k8s.io"}
		if err := suite.client.Get(ctx, key, lease); err != nil {
			return err
		}
		seconds, holder := ptr.Deref(lease.Spec.LeaseDurationSeconds, 0), ptr.Deref(lease.Spec.HolderIdentity, "")
		return unless(seconds == 37 && holder != "", "the lease lasts %d s; its holder is %q", seconds, holder)
	})
	lws := newSet(newNamespace(t), "configured", 1, 2)
	create(t, lws)
	untilAvailable(t, lws)

	t.Run("mistakes", func(t *testing.T) {
		wrong := filepath.Join(t.TempDir(), "wrong.yaml")
		if err := os.WriteFile(wrong, append(before, "sheduling: {}\n"...), 0o600); err != nil {
			t.Fatal(err)
		}
		var stderr bytes.Buffer
		command := exec.CommandContext(t.Context(), filepath.Join(suite.root, "bin", "manager"),
			"--config="+wrong, "--kube-api-burst=0")
		command.Stderr = &stderr
		if err := command.Run(); err == nil {
			t.Error("the operator started")
		}
		check(t, "message", "the configuration "+wrong+" has 2 mistakes:\n"+
			"  clientConnection.burst: Invalid value: 0: must be 1 or more\n"+
			"  sheduling: Forbidden: unknown field\n", stderr.String())
	})
}

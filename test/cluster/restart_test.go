// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package cluster

import (
	"context"
	"fmt"
	"syscall"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestRestart kills components. Restart starts the API server again with its data. Revive starts kwok again, which
// nobody has restarted.
func TestRestart(t *testing.T) {
	t.Parallel()
	c := startCluster(t, Options{Nodes: 1})
	before := c.named(APIServer)[0]
	if err := c.Restart(t.Context(), APIServer, syscall.SIGKILL, 0); err != nil {
		t.Fatal(err)
	}
	if after := c.named(APIServer); len(after) != 1 || after[0].PID == before.PID || !after[0].alive() {
		t.Errorf("the API server was %+v, and is %+v", before, after)
	}
	if err := c.Signal(Kubelets, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := untilEnded(t.Context(), killGrace, c.named(Kubelets)); err != nil {
		t.Fatal(err)
	}
	if err := c.Revive(); err != nil {
		t.Fatal(err)
	}
	if err := c.ended(); err != nil {
		t.Error(err)
	}
	client := clientOf(t, c)
	eventually(t, func(ctx context.Context) error {
		node, err := client.CoreV1().Nodes().Get(ctx, "node-0", metav1.GetOptions{})
		if err == nil && !nodeReady(node) {
			err = fmt.Errorf("%s isn't ready", node.Name)
		}
		return err
	})
}

// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// abandonedDir is the environment variable with the directory of the cluster that this test starts when it runs itself.
const abandonedDir = "CLUSTER_TEST_ABANDONED_DIR"

func TestClusterEndsWithItsParent(t *testing.T) {
	if dir := os.Getenv(abandonedDir); dir != "" {
		abandon(t, dir)
		return
	}
	dir := filepath.Join(t.TempDir(), "cluster")
	parent := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	parent.Env = append(os.Environ(), abandonedDir+"="+dir)
	if output, err := parent.CombinedOutput(); parent.ProcessState.ExitCode() != -1 {
		t.Fatalf("the parent wasn't killed: %v\n%s", err, output)
	}

	c, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.state.Processes) == 0 {
		t.Error("no component was started")
	}
	eventually(t, func(context.Context) error {
		if c.anyAlive() {
			return errors.New("a component runs")
		}
		return nil
	})

	c, err = Start(t.Context(), Options{Dir: dir, Bin: programsFor(t)})
	if err != nil {
		t.Fatalf("start again in the same directory: %v", err)
	}
	stopCompletely(t, c)
}

// abandon starts a cluster and kills this process before it could stop the cluster.
func abandon(t *testing.T, dir string) {
	t.Helper()
	if _, err := Start(t.Context(), Options{Dir: dir, Bin: programsFor(t)}); err != nil {
		t.Fatal(err)
	}
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := self.Kill(); err != nil {
		t.Fatal(err)
	}
	select {} // Wait for the signal.
}

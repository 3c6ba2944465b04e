// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"strconv"
	"testing"
)

// Each port is found once, as all are claimed until the process ends.
func TestFreePorts(t *testing.T) {
	found := map[string]bool{}
	for range 40 {
		ports, err := FreePorts(etcd, apiServer, scheduler)
		if err != nil {
			t.Fatal(err)
		}
		for name, port := range ports {
			number, err := strconv.Atoi(port)
			if err != nil || number < firstPort || number >= firstPort+portCount {
				t.Fatalf("the port of %s is %q", name, port)
			}
			if found[port] {
				t.Fatalf("port %s is found again", port)
			}
			found[port] = true
		}
	}
}

// A claim outlives the listener: nobody listens on the port when it's looked at again.
func TestClaimPort(t *testing.T) {
	dir := t.TempDir()
	first, err := claimPort(dir)
	if err != nil {
		t.Fatal(err)
	}
	if file, err := acquireLock(dir + "/" + first); err == nil {
		closeQuietly(file)
		t.Errorf("port %s isn't claimed", first)
	}
}

// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package leaderworkerset

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSetQueueKeepsRequestsUntilStart enqueues sets before and after the start of their controller.
func TestSetQueueKeepsRequestsUntilStart(t *testing.T) {
	sets, queue := newSetQueue(DefaultOptions().Batch), &recordingQueue{}
	sets.Enqueue(setOfSize(20, 4))
	sets.Enqueue(setOfSize(20, 4))
	if err := sets.Start(t.Context(), queue); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"default/llama in 26ms"}, queue.added); diff != "" {
		t.Errorf("on start (-want +got):\n%s", diff)
	}
	sets.Enqueue(setOfSize(100, 4))
	if diff := cmp.Diff([]string{"default/llama in 26ms", "default/llama in 90ms"}, queue.added); diff != "" {
		t.Errorf("after start (-want +got):\n%s", diff)
	}
}

// TestSetQueueLosesNoRequest enqueues sets while their controller starts.
func TestSetQueueLosesNoRequest(t *testing.T) {
	sets, queue := newSetQueue(BatchOptions{}), &recordingQueue{}
	var want []string
	var group sync.WaitGroup
	for i := range 100 {
		lws := setOfSize(1, 1)
		lws.Name = fmt.Sprintf("llama-%02d", i)
		want = append(want, "default/"+lws.Name+" in 0s")
		group.Go(func() { sets.Enqueue(lws) })
	}
	group.Go(func() {
		if err := sets.Start(t.Context(), queue); err != nil {
			t.Error(err)
		}
	})
	group.Wait()
	slices.Sort(queue.added)
	if diff := cmp.Diff(want, queue.added); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

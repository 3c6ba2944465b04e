// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/leaderworkerset/lws-operator/test/chaos/judge"
)

// recorder gives the judge a clock, and lets watches and clients share the judge.
type recorder struct {
	mutex sync.Mutex
	judge *judge.Judge
}

func (r *recorder) observe(e judge.Event) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.judge.Observe(e)
}

func (r *recorder) client(key types.NamespacedName, pod types.UID, what string) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.judge.Client(time.Now(), key, pod, what)
}

func (r *recorder) fault(what string, begins bool) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.judge.Fault(time.Now(), what, begins)
}

// unhealed returns what isn't yet as it must be, and the films of all sets.
func (r *recorder) unhealed(s *judge.State) []string {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.judge.Unhealed(s)
}

func (r *recorder) rest() int {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.judge.Rest(time.Now())
}

// broken returns an error about the broken promises.
func (r *recorder) broken() error {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	violations := r.judge.Violations()
	if len(violations) == 0 {
		return nil
	}
	return fmt.Errorf("%d broken promises:\n%s", len(violations), strings.Join(violations, "\n"))
}

// films returns what happened last to the sets that a text names.
func (r *recorder) films(text string) string {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	var films strings.Builder
	for i := range setCount {
		if key := keyOf(i); strings.Contains(text, key.Name) {
			fmt.Fprintf(&films, "%s\n    %s\n", key, strings.Join(r.judge.Film(key), "\n    "))
		}
	}
	return films.String()
}

// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/test/nodes/bed"
)

const (
	// probeInterval is the time between the starts of two probes.
	probeInterval = 50 * time.Millisecond
	// probeTimeout is a little longer than the API server's timeout for webhooks.
	probeTimeout = 15 * time.Second
)

// prober repeatedly creates a pod, by dry run, that the operator's webhook has to admit. A probe starts even if earlier
// ones haven't ended.
type prober struct {
	pod    *corev1.Pod
	cancel context.CancelFunc
	ended  sync.WaitGroup

	mutex  sync.Mutex
	probes []probe
}

// probe is one attempt to create a pod.
type probe struct {
	at  time.Time
	err error
}

// startProbing starts probes in a namespace.
func startProbing(t *testing.T, namespace string) *prober {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	p := &prober{cancel: cancel, pod: &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, GenerateName: "probe-", Labels: map[string]string{leaderworkersetv1.SetNameLabelKey: "probe"},
		},
		Spec: *bed.PodSpec(suite.NewSet(namespace, "probe", 1, 1)),
	}}
	p.ended.Go(func() {
		ticker := time.NewTicker(probeInterval)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				p.ended.Go(func() { p.probe(context.WithoutCancel(ctx)) })
			}
		}
	})
	return p
}

// probe makes one probe.
func (p *prober) probe(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	result := probe{at: time.Now()}
	result.err = suite.Client.Create(ctx, p.pod.DeepCopy(), client.DryRunAll)
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.probes = append(p.probes, result)
}

// stop ends the probes, and returns them sorted by their start.
func (p *prober) stop() []probe {
	p.cancel()
	p.ended.Wait()
	slices.SortFunc(p.probes, func(a, b probe) int { return a.at.Compare(b.at) })
	return p.probes
}

// refusals are consecutive probes that the API server refused for the same reason.
type refusals struct {
	reason      string
	first, last time.Time
	count       int
}

// refused returns the periods in which the API server refused pods.
func refused(probes []probe) []refusals {
	var found []refusals
	var current string
	for _, p := range probes {
		before := current
		if current = reason(p.err); current == "" {
			continue
		}
		if current != before {
			found = append(found, refusals{reason: current, first: p.at})
		}
		latest := &found[len(found)-1]
		latest.last = p.at
		latest.count++
	}
	return found
}

// reason returns the end of an error, which has the reason of the refusal. It returns "" for no error.
func reason(err error) string {
	if err == nil {
		return ""
	}
	text := err.Error()
	if i := strings.LastIndex(text, `": `); i >= 0 {
		return text[i+len(`": `):]
	}
	return text
}

// report adds the refusals of the probes to the timeline, and logs the timeline.
func (l *timeline) report(t *testing.T, probes []probe) {
	t.Helper()
	count := 0
	for _, r := range refused(probes) {
		count += r.count
		l.note(r.first, "probe", "refused: "+r.reason)
		duration := (r.last.Sub(r.first) + probeInterval).Seconds()
		l.note(r.last, "probe", fmt.Sprintf("the last of %d refusals in %.2f s", r.count, duration))
	}
	t.Logf("%d of %d probes refused\n%s", count, len(probes), l)
}

// checkAdmitted reports refusals whose reason has none of the expected prefixes.
func checkAdmitted(t *testing.T, probes []probe, expected ...string) {
	t.Helper()
	for _, r := range refused(probes) {
		if !slices.ContainsFunc(expected, func(prefix string) bool { return strings.HasPrefix(r.reason, prefix) }) {
			t.Errorf("%d pods were refused: %s", r.count, r.reason)
		}
	}
}

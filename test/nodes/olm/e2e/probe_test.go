// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/test/nodes/bed"
	"github.com/leaderworkerset/lws-operator/test/nodes/olm/refusal"
)

const (
	// probeInterval is the time between the starts of two probes that have to find each refusal.
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
	probes []refusal.Probe
}

// startProbing starts a probe after each interval, in a namespace.
func startProbing(t *testing.T, namespace string, interval time.Duration) *prober {
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
		ticker := time.NewTicker(interval)
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
	start := time.Now()
	err := suite.Client.Create(ctx, p.pod.DeepCopy(), client.DryRunAll)
	result := refusal.Probe{Span: refusal.Span{Start: start, End: time.Now()}, Err: err}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.probes = append(p.probes, result)
}

// stop ends the probes, and returns them sorted by their start.
func (p *prober) stop() []refusal.Probe {
	p.cancel()
	p.ended.Wait()
	slices.SortFunc(p.probes, func(a, b refusal.Probe) int { return a.Start.Compare(b.Start) })
	return p.probes
}

// report adds the refusals of the probes to the timeline. It logs the timeline and the error of each refusal.
func (l *timeline) report(t *testing.T, probes []refusal.Probe) {
	t.Helper()
	for _, series := range refusal.SeriesOf(probes) {
		l.note(series.First, "probe", "refused: "+series.Reason)
		duration := (series.Last.Sub(series.First) + probeInterval).Seconds()
		l.note(series.Last, "probe", fmt.Sprintf("the last of %d refusals in %.2f s", series.Count, duration))
	}
	refused := refusal.Refused(probes)
	t.Logf("%d of %d probes refused\n%s", len(refused), len(probes), l)
	for _, p := range refused {
		t.Logf("refused at %s: %v", l.format(p.Span), p.Err)
	}
}

// checkAdmitted reports refusals, unless a lost connection in one of the spans explains them.
func (l *timeline) checkAdmitted(t *testing.T, probes []refusal.Probe, spans ...refusal.Span) {
	t.Helper()
	for _, p := range refusal.Unexplained(probes, spans) {
		t.Errorf("a pod was refused at %s: %s", l.format(p.Span), p.Reason())
	}
}

// format returns the seconds of a span in the timeline.
func (l *timeline) format(span refusal.Span) string {
	return fmt.Sprintf("%.2fs to %.2fs", span.Start.Sub(l.began).Seconds(), span.End.Sub(l.began).Seconds())
}

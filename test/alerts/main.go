// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Command alerts makes each alert of config/prometheus fire by a real fault, and ends the fault. A real Prometheus
// reads two replicas of the operator on a real control plane, as the ServiceMonitor of config/prometheus says. The
// durations of the rules are divided by 60. Then the command evaluates each query of the dashboards.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/leaderworkerset/lws-operator/test/bench/report"
	"github.com/leaderworkerset/lws-operator/test/objects"
)

const (
	// firingTimeout and resolveTimeout bound the times of the table. The longest range, of 6 hours, ends after 6 minutes.
	firingTimeout, resolveTimeout = 3 * time.Minute, 8 * time.Minute
	// holdInterval is the time between two repetitions of what holds a fault.
	holdInterval = time.Second
)

// options are the flags.
type options struct {
	prometheus, out, document, logs, only string
}

func main() {
	log.SetLogger(logr.Discard()) // The client's log doesn't belong in the report.
	var o options
	flag.StringVar(&o.prometheus, "prometheus", filepath.Join("bin", "prometheus"), "the binary of Prometheus")
	flag.StringVar(&o.only, "only", "", "part of the names of the alerts to try; all if empty")
	flag.StringVar(&o.out, "out", "", "directory for the table and the data of the dashboards")
	flag.StringVar(&o.document, "document", "", "page whose summary the table replaces, if the run succeeds")
	flag.StringVar(&o.logs, "logs", "", "directory for the logs of all processes if the run fails")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, o)
	cancel()
	if err != nil {
		fmt.Fprintf(os.Stderr, "alerts: %v\n", err)
		os.Exit(1)
	}
}

// run makes all faults happen, and writes the report.
func run(ctx context.Context, o options) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	binary, err := filepath.Abs(o.prometheus)
	if err != nil {
		return err
	}
	b, err := newBed(ctx, binary)
	if err != nil {
		return err
	}
	defer func() { cancel(); err = errors.Join(err, b.stop(context.WithoutCancel(ctx))) }()
	t := &trial{bed: b, only: o.only, seen: map[subject]bool{}}
	err = t.run(ctx)
	text := table(t.rows)
	fmt.Print(text)
	if o.out != "" {
		err = errors.Join(err, os.MkdirAll(o.out, 0o750),
			os.WriteFile(filepath.Join(o.out, "alerts.md"), []byte(text), 0o600), b.keepPanels(ctx, o.out, o.only == ""))
	}
	if o.document != "" && err == nil {
		err = report.ReplaceSummary(o.document, []byte(text))
	}
	if o.logs != "" && err != nil {
		err = errors.Join(err, os.CopyFS(o.logs, os.DirFS(filepath.Join(b.cluster.Dir(), "logs"))))
	}
	return err
}

// subject is an alert, and the set that it names, if it does.
type subject struct{ alert, set string }

// row is a row of the table.
type row struct {
	fault            fault
	firing, resolved time.Duration
}

// trial is one run of all faults.
type trial struct {
	bed   *bed
	only  string
	mutex sync.Mutex
	rows  []row
	// seen has all alerts that have fired.
	seen map[subject]bool
}

// run makes the faults of sets happen at the same time, and then those of the operator one after the other. It fails if
// an alert fires that isn't about the fault.
func (t *trial) run(ctx context.Context) error {
	first, second := t.chosen(faultsOfSets()), t.chosen(faultsOfOperator())
	for _, f := range append(first, second...) {
		if f.prepare == nil {
			continue
		}
		if err := f.prepare(ctx, t.bed); err != nil {
			return fmt.Errorf("prepare %s: %w", f.what, err)
		}
	}
	if err := t.bed.newSet(ctx, "plain", 1); err != nil {
		return err
	}
	if err := t.bed.checkAccess(ctx); err != nil {
		return err
	}
	pause(ctx, 10*time.Second) // Of healthy sets, for the dashboards.
	if err := t.replaceReplicas(ctx); err != nil {
		return err
	}
	var group sync.WaitGroup
	var failed error
	var sets sync.WaitGroup
	for _, f := range first {
		sets.Add(1)
		group.Go(func() {
			err := t.happen(ctx, f, sets.Done)
			t.mutex.Lock()
			failed = errors.Join(failed, err)
			t.mutex.Unlock()
		})
	}
	sets.Wait()
	pause(ctx, 20*time.Second) // Sets become healthy again.
	for _, f := range second {
		if f.leaderless {
			group.Wait()
		}
		err := t.happen(ctx, f, func() {})
		t.mutex.Lock()
		failed = errors.Join(failed, err)
		t.mutex.Unlock()
	}
	group.Wait()
	return errors.Join(failed, t.unexpected(append(first, second...)))
}

// replaceReplicas ends each replica and starts it again, as an upgrade does. No alert may fire meanwhile, and until the
// longest time has passed for which the alerts about the operator wait, but for the certificate.
func (t *trial) replaceReplicas(ctx context.Context) error {
	const wait = 20 * time.Second
	replacing, done := context.WithCancel(ctx)
	defer done()
	failed := make(chan error, 1)
	go func() {
		var err error
		for _, r := range t.bed.replicas {
			err = errors.Join(err, r.replace(replacing))
		}
		pause(replacing, wait)
		failed <- err
		done()
	}()
	for ; replacing.Err() == nil; pause(replacing, 200*time.Millisecond) {
		firing, err := t.bed.prometheus.firing(ctx)
		if err != nil {
			return err
		}
		for s := range firing {
			return fmt.Errorf("%s fires while the replicas are replaced", s.alert)
		}
	}
	return errors.Join(<-failed, ctx.Err())
}

// chosen returns the faults that are to happen.
func (t *trial) chosen(faults []fault) (chosen []fault) {
	for _, f := range faults {
		if strings.Contains(f.alert, t.only) {
			chosen = append(chosen, f)
		}
	}
	return chosen
}

// happen makes a fault happen, and waits until its alert has fired and has ended. It calls ended when the fault ends.
func (t *trial) happen(ctx context.Context, f fault, ended func()) error {
	r, began := row{fault: f}, time.Now()
	err := f.begin(ctx, t.bed)
	if err == nil {
		err = t.hold(ctx, f)
	}
	r.firing = time.Since(began)
	finished := time.Now()
	err = errors.Join(err, f.finish(ctx, t.bed))
	ended()
	if err == nil {
		err = t.until(ctx, f, false, resolveTimeout)
	}
	r.resolved = time.Since(finished)
	if err != nil {
		return fmt.Errorf("%s: %w", f.alert, err)
	}
	fmt.Fprintf(os.Stderr, "%-32s fires after %5.1f s, ends after %5.1f s\n",
		f.alert, r.firing.Seconds(), r.resolved.Seconds())
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.rows = append(t.rows, r)
	return nil
}

// hold repeats what holds the fault until its alert fires.
func (t *trial) hold(ctx context.Context, f fault) error {
	holding, stop := context.WithCancel(ctx)
	var group sync.WaitGroup
	group.Go(func() {
		for ; f.hold != nil && holding.Err() == nil; pause(holding, holdInterval) {
			_ = f.hold(holding, t.bed) // An error is a part of the fault.
		}
	})
	err := t.until(ctx, f, true, firingTimeout)
	stop()
	group.Wait()
	return err
}

// until waits until the alert of a fault fires, or doesn't fire.
func (t *trial) until(ctx context.Context, f fault, want bool, timeout time.Duration) error {
	return objects.Until(ctx, timeout, func(ctx context.Context) error {
		firing, err := t.bed.prometheus.firing(ctx)
		if err != nil {
			return err
		}
		t.mutex.Lock()
		maps.Copy(t.seen, firing)
		t.mutex.Unlock()
		if got := firing[subject{f.alert, f.set}]; got != want {
			return fmt.Errorf("firing is %t", got)
		}
		return nil
	})
}

// unexpected returns an error about alerts that no fault is about.
func (t *trial) unexpected(faults []fault) error {
	expected := map[subject]bool{}
	for _, f := range faults {
		expected[subject{f.alert, f.set}] = true
		for _, also := range f.also {
			expected[also] = true
		}
	}
	var errs []error
	for s := range t.seen {
		if !expected[s] {
			errs = append(errs, fmt.Errorf("%s fires for the set %q, which nobody broke for that", s.alert, s.set))
		}
	}
	return errors.Join(errs...)
}

// table returns the report as a table of Markdown.
func table(rows []row) string {
	var b strings.Builder
	b.WriteString("| alert | fault | seconds until firing | how it ends | seconds until resolved |\n" +
		"| --- | --- | --- | --- | --- |\n")
	for _, f := range append(faultsOfSets(), faultsOfOperator()...) {
		for _, r := range rows {
			if r.fault.alert == f.alert {
				fmt.Fprintf(&b, "| %s | %s. | %.0f | %s. | %.0f |\n",
					f.alert, f.what, r.firing.Seconds(), f.end, r.resolved.Seconds())
			}
		}
	}
	return b.String()
}

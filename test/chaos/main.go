// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Command chaos hurts the operator on purpose. Clients change sets at random on a real control plane while faults
// happen, one kind a round. A judge that shares no code with the operator watches the pods throughout. After each
// round the clients pause, and the time until all sets have healed is measured. The seed decides what clients do and
// the order of the faults; the order in which processes act is their own.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/leaderworkerset/lws-operator/test/chaos/judge"
	"github.com/leaderworkerset/lws-operator/test/chaos/report"
	"github.com/leaderworkerset/lws-operator/test/objects"
)

const (
	// healTimeout bounds the time from the end of a fault until everything has healed.
	healTimeout = 2 * time.Minute
	// longestRun bounds -minutes.
	longestRun = 120
	// calm is how long clients act before the fault.
	calm = 4 * time.Second
)

// options are the flags.
type options struct {
	minutes    int
	seed       uint64
	only, logs string
	// out is the directory for the report, and document the page that has it.
	out, document string
}

func main() {
	log.SetLogger(logr.Discard()) // The clients' logs don't belong in the report.
	var o options
	flag.IntVar(&o.minutes, "minutes", 5, "how long to run, up to 120")
	flag.Uint64Var(&o.seed, "seed", 1, "the seed of clients and faults")
	flag.StringVar(&o.only, "only", "", "parts of the names of the faults to use, separated by commas; all if empty")
	flag.StringVar(&o.out, "out", "", "directory for the report, chaos.md and chaos.svg")
	flag.StringVar(&o.document, "document", "", "page whose summary the report replaces, if the run succeeds")
	flag.StringVar(&o.logs, "logs", "", "directory for the logs of all processes if the run fails")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, o)
	cancel()
	if err != nil {
		fmt.Fprintf(os.Stderr, "chaos: seed %d: %v\n", o.seed, err)
		os.Exit(1)
	}
}

// run starts a plane, makes rounds, and writes the report.
func run(ctx context.Context, o options) (err error) {
	kinds := slices.DeleteFunc(faults(), func(f fault) bool {
		named := func(part string) bool { return strings.Contains(f.name, part) }
		return !slices.ContainsFunc(strings.Split(o.only, ","), named)
	})
	if len(kinds) == 0 {
		return fmt.Errorf("no fault is named like %q", o.only)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p, err := newPlane(ctx, o.logs != "")
	if err != nil {
		return err
	}
	defer func() { cancel(); err = errors.Join(err, p.stop(context.WithoutCancel(ctx))) }()
	began := time.Now()
	rounds, err := p.rounds(ctx, o, kinds)
	if err != nil {
		err = errors.Join(err, p.keepLogs(o.logs))
	}
	r := report.Report{Seed: o.seed, Duration: time.Since(began), Rounds: rounds}
	fmt.Print(r.Markdown())
	if o.out != "" {
		err = errors.Join(err, r.Write(o.out))
	}
	if o.document != "" && err == nil {
		err = r.Publish(o.document)
	}
	return err
}

// rounds makes rounds until the time is over or a promise is broken.
func (p *plane) rounds(ctx context.Context, o options, kinds []fault) ([]report.Round, error) {
	random := rand.New(rand.NewPCG(o.seed, 0)) //nolint:gosec // The seed is the point.
	var rounds []report.Round
	for end := time.Now().Add(time.Duration(min(o.minutes, longestRun)) * time.Minute); ; {
		for _, i := range random.Perm(len(kinds)) {
			if time.Now().After(end) || ctx.Err() != nil {
				return rounds, ctx.Err()
			}
			r, err := p.round(ctx, kinds[i], o.seed, uint64(len(rounds)))
			if err != nil {
				return rounds, err
			}
			rounds = append(rounds, r)
			fmt.Printf("%4d %-26s %3d groups affected, healed after %.1f s\n",
				len(rounds), r.Fault, r.Affected, r.Heal.Seconds())
		}
	}
}

// round lets one fault happen while clients act, and waits until everything has healed.
func (p *plane) round(ctx context.Context, f fault, seed, number uint64) (report.Round, error) {
	loading, stop := context.WithCancel(ctx)
	defer stop()
	var users sync.WaitGroup
	for i := range uint64(clients) {
		random := rand.New(rand.NewPCG(seed, 1+number*clients+i)) //nolint:gosec // The seed is the point.
		u := &user{api: p.api, judge: p.judge, random: random}
		users.Go(func() { u.run(loading) })
	}
	pause(ctx, calm)
	p.judge.fault(f.name+" begins", f.name != none)
	err := f.do(ctx, p)
	p.judge.fault(f.name+" ends", false)
	ended := time.Now()
	stop()
	users.Wait()
	if err != nil {
		return report.Round{}, fmt.Errorf("round %d, %s: %w", number+1, f.name, err)
	}
	healed, err := p.untilHealed(ctx)
	r := report.Round{Fault: f.name, Heal: healed.Sub(ended)}
	if err != nil {
		err = fmt.Errorf("%s didn't heal: %w\n%s", f.name, err, p.judge.films(err.Error()))
	} else {
		r.Affected = p.judge.rest()
	}
	if err = errors.Join(err, p.judge.broken()); err != nil {
		err = fmt.Errorf("round %d: %w", number+1, err)
	}
	return r, err
}

// untilHealed waits until everything is as it must be, and stays so until the judge has decided everything. It returns
// when that began.
func (p *plane) untilHealed(ctx context.Context) (since time.Time, err error) {
	err = objects.Until(ctx, healTimeout, func(ctx context.Context) error {
		problem := p.problem(ctx)
		switch {
		case problem != nil:
			since = time.Time{}
			return problem
		case since.IsZero():
			since = time.Now()
		}
		if time.Since(since) < 2*judge.Lag {
			return errors.New("healed just now")
		}
		return nil
	})
	return since, err
}

// problem returns an error about what isn't as it must be.
func (p *plane) problem(ctx context.Context) error {
	state, err := stateOf(ctx, p.api)
	if err != nil {
		return err
	}
	p.adoptOrphans(ctx, state)
	if problems := p.judge.unhealed(state); len(problems) > 0 {
		return errors.New(strings.Join(problems, "\n"))
	}
	return nil
}

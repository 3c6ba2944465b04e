// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Command chaos hurts the operator on purpose. Clients change sets at random on a real control plane while faults
// happen, one kind a round. A judge that shares no code with the operator watches the pods throughout. After each
// round the load pauses, and the time until all sets are healthy is measured. The seed decides what clients and faults
// do; the order in which processes act is their own.
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

	"github.com/leaderworkerset/lws-operator/test/objects"
)

const (
	// healTimeout bounds the time from the end of a fault until all sets are healthy.
	healTimeout = 2 * time.Minute
	// longestRun bounds -minutes.
	longestRun = 120
)

func main() {
	log.SetLogger(logr.Discard()) // The clients' logs don't belong in the report.
	minutes := flag.Int("minutes", 5, "how long to run, up to 120")
	seed := flag.Uint64("seed", 1, "the seed of clients and faults")
	only := flag.String("only", "", "part of the names of the faults to use; all if empty")
	out := flag.String("out", "", "file for the report in Markdown")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	err := run(ctx, min(*minutes, longestRun), *seed, *only, *out)
	if err != nil {
		fmt.Fprintf(os.Stderr, "chaos: seed %d: %v\n", *seed, err)
		os.Exit(1)
	}
}

// result is what one round has shown.
type result struct {
	fault    string
	heal     time.Duration
	affected int
}

// run starts a plane, and makes rounds until the time is over or a promise is broken.
func run(ctx context.Context, minutes int, seed uint64, only, out string) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p, err := newPlane(ctx)
	if err != nil {
		return err
	}
	defer func() { cancel(); err = errors.Join(err, p.stop(context.WithoutCancel(ctx))) }()
	kinds := slices.DeleteFunc(faults(), func(f fault) bool { return !strings.Contains(f.name, only) })
	if len(kinds) == 0 {
		return fmt.Errorf("no fault is named like %q", only)
	}
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // The seed is the point.
	var results []result
	for end := time.Now().Add(time.Duration(minutes) * time.Minute); time.Now().Before(end) && err == nil; {
		for _, i := range random.Perm(len(kinds)) {
			var r result
			if r, err = p.round(ctx, kinds[i], seed, uint64(len(results))); err != nil || time.Now().After(end) {
				break
			}
			results = append(results, r)
			fmt.Printf("%-26s %3d groups affected, healed after %.1f s\n", r.fault, r.affected, r.heal.Seconds())
		}
	}
	text := table(results, seed)
	fmt.Print(text)
	if out != "" {
		err = errors.Join(err, os.WriteFile(out, []byte(text), 0o600))
	}
	return err
}

// round lets one fault happen under load, and waits until everything has healed.
func (p *plane) round(ctx context.Context, f fault, seed, number uint64) (result, error) {
	loading, stop := context.WithCancel(ctx)
	defer stop()
	var users sync.WaitGroup
	for i := range uint64(clients) {
		u := &user{api: p.api, judge: p.judge, random: rand.New(rand.NewPCG(seed, 1+number*clients+i))} //nolint:gosec
		users.Go(func() { u.run(loading) })
	}
	pause(ctx, 4*time.Second)
	p.judge.fault(f.name+" begins", true)
	err := f.do(ctx, p)
	p.judge.fault(f.name+" ends", false)
	ended := time.Now()
	stop()
	users.Wait()
	if err != nil {
		return result{}, fmt.Errorf("%s: %w", f.name, err)
	}
	err = objects.Until(ctx, healTimeout, func(ctx context.Context) error { return healthy(ctx, p.api) })
	healed := time.Since(ended)
	pause(ctx, judgeAfter+time.Second)
	p.judge.decide()
	if err != nil {
		err = fmt.Errorf("%s didn't heal: %w\n%s", f.name, err, p.judge.films())
	}
	r := result{fault: f.name, heal: healed, affected: p.judge.countAffected()}
	p.judge.rest()
	return r, errors.Join(err, p.judge.broken())
}

// table returns the results by fault, in Markdown.
func table(results []result, seed uint64) string {
	byFault := map[string][]result{}
	for _, r := range results {
		byFault[r.fault] = append(byFault[r.fault], r)
	}
	text := fmt.Sprintf("Seed %d, %d rounds.\n\n| fault | rounds | groups affected | healed after, p50 | worst |\n"+
		"| --- | --- | --- | --- | --- |\n", seed, len(results))
	for _, f := range faults() {
		found := byFault[f.name]
		if len(found) == 0 {
			continue
		}
		slices.SortFunc(found, func(a, b result) int { return int(a.heal - b.heal) })
		affected := 0
		for _, r := range found {
			affected += r.affected
		}
		text += fmt.Sprintf("| %s | %d | %d | %.1f s | %.1f s |\n", f.name, len(found), affected,
			found[(len(found)-1)/2].heal.Seconds(), found[len(found)-1].heal.Seconds())
	}
	return text
}

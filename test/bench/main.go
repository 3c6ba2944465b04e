// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Command bench measures the costs of a controller of LeaderWorkerSets from outside. It starts a local cluster, runs
// the controller through scenarios, and reports times, requests, CPU time and memory. The page docs/benchmarks.md
// explains how to run the benchmark and how to read its report.
package main

import (
	"context"
	"debug/buildinfo"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/procfs"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/leaderworkerset/lws-operator/test/bench/report"
	"github.com/leaderworkerset/lws-operator/test/cluster"
	"github.com/leaderworkerset/lws-operator/test/operator"
)

// options has the values of the flags, and what prepare derives from them.
type options struct {
	groups         numbers
	size           int
	scenarios      names
	strangers      int
	large          dimensions
	idle, rest     time.Duration
	timeout        time.Duration
	out            string
	compare        string
	controllerFile string

	root       string // of the checkout
	bin        string // of the cluster's programs
	controller operator.Controller
	progress   *progress
}

func main() {
	log.SetLogger(logr.Discard()) // Logs of the clients don't belong in the report.
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	o, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	var other *report.Report
	if o.compare != "" {
		if other, err = report.Read(o.compare); err != nil {
			return err
		}
	}
	if err := o.prepare(ctx); err != nil {
		return err
	}
	found := describe(o.controller)
	ran := runAll(ctx, o, found)
	if len(found.Results) == 0 {
		return ran
	}
	return errors.Join(ran, publish(o, found, other))
}

// parse reads the command line.
func parse(args []string) (options, error) {
	o := options{
		groups:    numbers{50, 100, 200, 500, 1000},
		scenarios: names{sequenceScenario, slowScenario, strangersScenario, largeScenario},
		large:     dimensions{2, 700},
	}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.Var(&o.groups, "groups", "numbers of groups to run the whole sequence with, separated by commas")
	flags.IntVar(&o.size, "size", 4, "pods per group")
	flags.Var(&o.scenarios, "scenarios", "scenarios to run, separated by commas")
	flags.IntVar(&o.strangers, "strangers", 5000, "number of pods that belong to no LeaderWorkerSet")
	flags.Var(&o.large, "large", "number of large groups, and pods in each of them")
	flags.DurationVar(&o.idle, "idle", 30*time.Second, "how long nothing happens in the idle scenario")
	flags.DurationVar(&o.rest, "rest", 3*time.Second, "how long a controller at rest makes no request")
	flags.DurationVar(&o.timeout, "timeout", 10*time.Minute, "how long a scenario may take")
	flags.StringVar(&o.out, "out", filepath.Join("bin", "bench"), "directory for the report and the plots")
	flags.StringVar(&o.compare, "compare", "", "report.json of another run; the output shows ratios to it")
	flags.StringVar(&o.controllerFile, "controller", "",
		"YAML file that describes another controller, which runs instead of this operator")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.size < 2 {
		return o, errors.New("-size must be at least 2: the benchmark kills workers")
	}
	return o, nil
}

// prepare builds the programs that aren't up to date.
func (o *options) prepare(ctx context.Context) (err error) {
	o.progress = &progress{began: time.Now()}
	if o.root, err = cluster.Root(); err != nil {
		return err
	}
	if o.bin, err = cluster.Build(ctx, o.root, os.Stderr); err != nil {
		return err
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	if o.controllerFile != "" {
		o.controller, err = operator.ReadController(o.controllerFile)
		return err
	}
	o.progress.say("Building the operator")
	path, err := operator.Build(ctx, o.root)
	o.controller = operator.Ours(o.root, path)
	return err
}

// The values of -scenarios.
const (
	sequenceScenario  = "sequence"
	slowScenario      = "slow"
	strangersScenario = "strangers"
	largeScenario     = "large"
)

// runAll runs the chosen scenarios and adds their results to the report.
func runAll(ctx context.Context, o options, found *report.Report) error {
	s := &scenarios{options: o, report: found}
	for _, scenario := range o.scenarios {
		var err error
		switch scenario {
		case sequenceScenario:
			err = s.sequences(ctx)
		case slowScenario:
			err = s.slowUpdate(ctx, o.size)
		case strangersScenario:
			err = s.strangers(ctx, o.strangers, o.size)
		case largeScenario:
			err = s.large(ctx, o.large.groups, o.large.size)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// sequences runs the sequence with each number of groups.
func (s *scenarios) sequences(ctx context.Context) error {
	for _, groups := range s.options.groups {
		if err := s.sequence(ctx, groups, s.options.size); err != nil {
			return err
		}
	}
	return nil
}

// publish prints and writes the report.
func publish(o options, found, other *report.Report) error {
	fmt.Printf("\n%s %s, Kubernetes %s, %s, %s, %d cores, %.0f GiB of memory, %s\n",
		found.Controller, found.Version, found.Kubernetes, found.Go, found.Machine, found.Cores, found.MemoryGiB, found.Date)
	found.Tables(os.Stdout)
	found.Requests(os.Stdout)
	if other != nil {
		found.Compare(os.Stdout, other)
	}
	file := filepath.Join(o.out, "report.json")
	if err := errors.Join(found.Write(file), found.WritePlots(o.out, o.size)); err != nil {
		return err
	}
	o.progress.say("The report is in %s, with plots beside it", file)
	return nil
}

// describe returns a report without results, about this controller and this machine.
func describe(controller operator.Controller) *report.Report {
	return &report.Report{
		Date:       time.Now().UTC().Format(time.DateOnly),
		Controller: controller.Name,
		Version:    versionOf(controller.Command[0]),
		Go:         runtime.Version(),
		Machine:    runtime.GOOS + "/" + runtime.GOARCH,
		Cores:      runtime.NumCPU(),
		MemoryGiB:  memory(),
	}
}

// versionOf returns the version of the module that a program was built from, or "" if the program doesn't record it.
func versionOf(program string) string {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return ""
	}
	return info.Main.Version
}

// memory returns the memory of the machine in GiB, or 0 if it is unknown.
func memory() float64 {
	proc, err := procfs.NewDefaultFS()
	if err != nil {
		return 0
	}
	info, err := proc.Meminfo()
	if err != nil || info.MemTotalBytes == nil {
		return 0
	}
	return float64(*info.MemTotalBytes) / (1 << 30)
}

// progress prints what the benchmark is doing, with the time since its start.
type progress struct{ began time.Time }

func (p *progress) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%6.1fs  %s\n", time.Since(p.began).Seconds(), fmt.Sprintf(format, args...))
}

// numbers is a flag of positive numbers.
type numbers []int

// String returns the flag's value in the form of the command line.
func (n *numbers) String() string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint([]int(*n)), " ", ","), "[]")
}

// Set parses the flag's value.
func (n *numbers) Set(value string) error {
	*n = nil
	for word := range strings.SplitSeq(value, ",") {
		number, err := strconv.Atoi(word)
		if err != nil || number < 1 {
			return fmt.Errorf("%q isn't a positive number", word)
		}
		*n = append(*n, number)
	}
	return nil
}

// names is a flag of scenarios.
type names []string

// String returns the flag's value in the form of the command line.
func (n *names) String() string { return strings.Join(*n, ",") }

// Set parses the flag's value.
func (n *names) Set(value string) error {
	*n = strings.Split(value, ",")
	for _, name := range *n {
		switch name {
		case sequenceScenario, slowScenario, strangersScenario, largeScenario:
		default:
			return fmt.Errorf("%q isn't a scenario", name)
		}
	}
	return nil
}

// dimensions is a flag of a number of groups and their size, like 2x700.
type dimensions struct{ groups, size int }

// String returns the flag's value in the form of the command line.
func (d *dimensions) String() string { return fmt.Sprintf("%dx%d", d.groups, d.size) }

// Set parses the flag's value.
func (d *dimensions) Set(value string) error {
	_, err := fmt.Sscanf(value, "%dx%d", &d.groups, &d.size)
	if err != nil || d.groups < 1 || d.size < 1 {
		return fmt.Errorf("%q isn't like 2x700", value)
	}
	return nil
}

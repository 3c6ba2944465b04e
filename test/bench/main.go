// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Command bench measures the costs of a controller of LeaderWorkerSets from outside. It starts a local cluster, runs
// the controller through scenarios, and reports times, requests, CPU time and memory. The page
// docs/operate/benchmarks.md explains how to run the benchmark and how to read its report.
package main

import (
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"errors"
	"flag"
	"fmt"
	"io/fs"
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
	selection
	runs           int
	summary        pieces
	keep           bool
	print          bool
	document       string
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
	if o.print {
		return printOnly(o, other)
	}
	if err := o.prepare(ctx); err != nil {
		return err
	}
	found, err := begin(o)
	if err != nil {
		return err
	}
	ran := runAll(ctx, o, found)
	if len(found.Results) == 0 {
		return ran
	}
	return errors.Join(ran, publish(o, found, other))
}

// printOnly prints the report of earlier runs.
func printOnly(o options, other *report.Report) error {
	found, err := report.Read(o.file())
	if err != nil {
		return err
	}
	return publish(o, found, other)
}

// begin returns the report that gets the results. With -keep, it has those of earlier runs.
func begin(o options) (*report.Report, error) {
	found := describe(o.controller)
	if !o.keep {
		return found, nil
	}
	earlier, err := report.Read(o.file())
	if errors.Is(err, fs.ErrNotExist) {
		return found, nil
	}
	if err != nil {
		return nil, err
	}
	if earlier.Controller != found.Controller || earlier.Build != found.Build {
		return nil, fmt.Errorf("%s is about another build; remove it, or run without -keep", o.file())
	}
	found.Kubernetes, found.Results = earlier.Kubernetes, earlier.Results
	return found, nil
}

// file returns the path of the report.
func (o *options) file() string { return filepath.Join(o.out, "report.json") }

// parse reads the command line.
func parse(args []string) (options, error) {
	o := options{
		selection: selection{
			profile:   report.Unlimited,
			scenarios: names{sequenceScenario, slowScenario, strangersScenario, largeScenario},
			groups:    numbers{50, 100, 200, 500, 1000},
			failing:   recoveries(),
			sets:      numbers{200, 1000},
			dsets:     numbers{50},
		},
		large:    dimensions{2, 700},
		progress: &progress{began: time.Now()},
	}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	o.register(flags)
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	switch {
	case o.size < 2:
		return o, errors.New("-size must be at least 2: the benchmark kills workers")
	case o.runs < 1:
		return o, errors.New("-runs must be at least 1")
	case o.profile != report.Unlimited && o.profile != report.Defaults:
		return o, fmt.Errorf("-profile must be %s or %s", report.Unlimited, report.Defaults)
	}
	return o, nil
}

// register adds the flags that set the options. The options have the defaults of flags with a type of their own.
func (o *options) register(flags *flag.FlagSet) {
	flags.Var(&o.groups, "groups", "numbers of groups for sequence, rollout and edit, separated by commas")
	flags.IntVar(&o.size, "size", 4, "pods per group")
	flags.Var(&o.scenarios, "scenarios", "scenarios to run, separated by commas: "+strings.Join(scenarioNames(), ", "))
	flags.StringVar(&o.profile, "profile", o.profile,
		"client limits of the control plane: unlimited, or defaults, which most clusters have")
	flags.BoolVar(&o.floors, "floors", true, "measure the floors of sequence, rollout and many")
	flags.Var(&o.failing, "failing", "numbers and sizes of the groups of recovery, separated by commas")
	flags.Var(&o.sets, "sets", "numbers of sets of one group of 2 pods for many, separated by commas")
	flags.Var(&o.dsets, "dsets", "numbers of DisaggregatedSets of 2 roles for roles, separated by commas")
	flags.Var(&o.summary, "summary",
		"instead of scenarios, measure the figures of the summary: all, or some of "+pieceNames())
	flags.IntVar(&o.runs, "runs", 1, "how often everything is measured; the tables have the medians")
	flags.BoolVar(&o.keep, "keep", false, "keep the results of the report in -out, and add to them")
	flags.BoolVar(&o.print, "print", false, "measure nothing, and print the report in -out")
	flags.StringVar(&o.document, "document", "", "page whose summary is replaced by that of the report")
	flags.IntVar(&o.strangers, "strangers", 5000, "number of pods that belong to no LeaderWorkerSet")
	flags.Var(&o.large, "large", "number of large groups, and pods in each of them")
	flags.DurationVar(&o.idle, "idle", 30*time.Second, "how long nothing happens in the idle scenario")
	flags.DurationVar(&o.rest, "rest", 3*time.Second, "how long a controller at rest makes no request")
	flags.DurationVar(&o.timeout, "timeout", 10*time.Minute, "how long a scenario may take")
	flags.StringVar(&o.out, "out", filepath.Join("bin", "bench"), "directory for the report and the plots")
	flags.StringVar(&o.compare, "compare", "", "report.json of another run; the output shows ratios to it")
	flags.StringVar(&o.controllerFile, "controller", "",
		"YAML file that describes another controller, which runs instead of this operator")
}

// prepare builds the programs that aren't up to date.
func (o *options) prepare(ctx context.Context) (err error) {
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

// runAll runs the chosen scenarios as often as asked for, and adds their results to the report.
func runAll(ctx context.Context, o options, found *report.Report) error {
	selected := o.summary.selections()
	if len(selected) == 0 {
		selected = []selection{o.selection}
	}
	for run := range o.runs {
		for _, selection := range selected {
			o.progress.say("Run %d of %d: %s", run+1, o.runs, selection.scenarios.String())
			s := &scenarios{options: o, report: found}
			s.options.selection = selection
			if err := s.runSelection(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// runSelection runs the selected scenarios.
func (s *scenarios) runSelection(ctx context.Context) error {
	o := &s.options
	for _, scenario := range o.scenarios {
		var err error
		switch scenario {
		case sequenceScenario:
			err = forEach(ctx, o.groups, func(groups int) error { return s.sequence(ctx, groups, o.size) })
		case rolloutScenario:
			err = forEach(ctx, o.groups, func(groups int) error { return s.rollout(ctx, groups, o.size) })
		case editScenario:
			err = forEach(ctx, o.groups, func(groups int) error { return s.edit(ctx, groups, o.size) })
		case recoveryScenario:
			err = s.recovery(ctx, o.failing)
		case manyScenario:
			err = forEach(ctx, o.sets, func(count int) error { return s.many(ctx, count) })
		case rolesScenario:
			err = forEach(ctx, o.dsets, func(count int) error { return s.roles(ctx, count) })
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

// forEach calls the function with each number, until it returns an error or the context is done.
func forEach(ctx context.Context, numbers []int, do func(int) error) error {
	for _, number := range numbers {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := do(number); err != nil {
			return err
		}
	}
	return nil
}

// publish prints and writes the report. The file has the results of all runs, everything else their medians.
func publish(o options, found, other *report.Report) error {
	medians := found.Medians()
	if other != nil {
		other = other.Medians()
	}
	fmt.Println()
	medians.Origin(os.Stdout)
	fmt.Println()
	medians.Summary(os.Stdout, other)
	medians.Tables(os.Stdout)
	medians.Requests(os.Stdout)
	medians.ClusterRequests(os.Stdout)
	if other != nil {
		medians.Compare(os.Stdout, other)
	}
	if err := errors.Join(found.Write(o.file()), medians.WritePlots(o.out, o.size)); err != nil {
		return err
	}
	o.progress.say("The report is in %s, with plots beside it", o.file())
	if o.document == "" {
		return nil
	}
	return medians.Publish(o.document, other)
}

// describe returns a report without results, about this controller and this machine.
func describe(controller operator.Controller) *report.Report {
	return &report.Report{
		Date:       time.Now().UTC().Format(time.DateOnly),
		Controller: controller.Name,
		Version:    versionOf(controller.Command[0]),
		Build:      hashOf(controller.Command[0]),
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

// hashOf returns the SHA-256 of a program, or "" if it can't be read.
func hashOf(program string) string {
	content, err := os.ReadFile(program)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%x", sha256.Sum256(content))
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

// dimensionsList is a flag of numbers of groups and their sizes, like 1x4,2x32.
type dimensionsList []dimensions

// String returns the flag's value in the form of the command line.
func (l *dimensionsList) String() string {
	words := make([]string, len(*l))
	for i := range *l {
		words[i] = (*l)[i].String()
	}
	return strings.Join(words, ",")
}

// Set parses the flag's value.
func (l *dimensionsList) Set(value string) error {
	*l = nil
	for word := range strings.SplitSeq(value, ",") {
		var d dimensions
		if err := d.Set(word); err != nil {
			return err
		}
		*l = append(*l, d)
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

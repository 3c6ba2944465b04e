// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"io"
	"strings"
)

// The measure of most targets: this many groups of this size.
const (
	targetGroups = 500
	targetSize   = 4
	// fewGroups and manyGroups are compared to see whether costs per group stay the same.
	fewGroups, manyGroups = 100, 1000
	// targetFloor is how many seconds the floor took on the machine that the targets of time and CPU time were set for.
	targetFloor = 21.6
)

// Target is a figure that is to be reached.
type Target struct {
	Figure string
	// Measured is the figure, at most Reach if the target is met; both have the Unit.
	Measured, Reach float64
	Unit            string
	// Paced is Measured on a machine where the floor takes targetFloor, if all else takes as much longer or shorter as the floor does: 15 s
	// with a floor of 43.2 s are 7.5 s. 0 for a figure that doesn't depend on the machine that much, or if the floor wasn't measured.
	Paced float64
}

// Met says whether the target is reached.
func (t Target) Met() bool { return t.Measured <= t.Reach }

// Targets are those whose scenarios the report has.
func (r *Report) Targets() []Target {
	var targets []Target
	add := func(figure string, measured, reach float64, unit string) {
		targets = append(targets, Target{Figure: figure, Measured: measured, Reach: reach, Unit: unit})
	}
	at := func(scenario string) *Result { return r.Find(Key{scenario, targetGroups, targetSize}) }
	addPaced := func(figure string, measured, reach float64) {
		add(figure, measured, reach, "s")
		if floor := at(Floor); floor != nil {
			targets[len(targets)-1].Paced = measured * targetFloor / floor.Seconds
		}
	}
	if create := at(Create); create != nil {
		add("create: writes", float64(Sum(create.Writes)), 1.1*targetGroups+30, "")
		if floor := at(Floor); floor != nil {
			add("create: time, of the floor's", create.Seconds/floor.Seconds, 1.1, "×")
		}
		addPaced("create: CPU", create.CPUSeconds, 3)
	}
	if update := at(Update); update != nil {
		add("update: writes", float64(Sum(update.Writes)), 3.2*targetGroups+60, "")
		addPaced("update: time", update.Seconds, 40)
		addPaced("update: CPU", update.CPUSeconds, 8)
	}
	if slow := r.find(SlowUpdate); slow != nil {
		add("update of 20 groups, pods of 5 s: time", slow.Seconds, 12.5, "s")
	}
	if kill := at(Kill); kill != nil && kill.Restarts != nil {
		add("kill workers: groups not restarted", float64(kill.Restarts.Killed-kill.Restarts.Restarted), 0, "")
		add("kill workers: restarted again, or for nothing", float64(kill.Restarts.Again+kill.Restarts.Others), 0, "")
		addPaced("kill workers: time", kill.Seconds, 10)
	}
	if idle := at(Idle); idle != nil {
		add("idle: writes", float64(Sum(idle.Writes)), 0, "")
	}
	for _, scenario := range []string{Create, Update} {
		few, many := r.Find(Key{scenario, fewGroups, targetSize}), r.Find(Key{scenario, manyGroups, targetSize})
		if few == nil || many == nil {
			continue
		}
		scale := float64(manyGroups) / fewGroups
		add(scenario+": writes per group, 1,000 groups to 100", ratio(float64(Sum(many.Writes)), scale*float64(Sum(few.Writes))), 1.3, "×")
		add(scenario+": CPU per group, 1,000 groups to 100", ratio(many.CPUSeconds, scale*few.CPUSeconds), 1.3, "×")
	}
	if peak := r.peak(targetGroups, targetSize); peak > 0 {
		add("peak memory", peak, 70, "MiB")
	}
	if alone, among := r.find(Alone), r.find(Among); alone != nil && among != nil {
		add("memory for strangers' pods", among.ResidentMiB-alone.ResidentMiB, 3, "MiB")
	}
	if restart := at(Restart); restart != nil {
		add("restart operator: ready after", restart.Seconds, 3, "s")
		add("restart operator: writes", float64(Sum(restart.Writes)), 0, "")
	}
	if writes, failed := r.writes(); writes > 0 {
		add("conflicts and invalid writes in all scenarios", 100*float64(failed)/float64(writes), 1, "%")
	}
	return targets
}

// WriteTargets writes a table of the targets.
func (r *Report) WriteTargets(out io.Writer) {
	var rows [][]string
	for _, target := range r.Targets() {
		met := "yes"
		if !target.Met() {
			met = "no"
		}
		paced := none
		if target.Paced > 0 {
			paced = amount(target.Paced, target.Unit)
		}
		rows = append(rows, []string{target.Figure, amount(target.Reach, target.Unit), amount(target.Measured, target.Unit), met, paced})
	}
	_, _ = fmt.Fprintf(out, "\nTargets, for %d groups of %d pods where nothing else is said\n\n", targetGroups, targetSize)
	table(out, []string{"figure", "at most", "measured", "reached", fmt.Sprintf("with a floor of %.1f s", targetFloor)}, rows)
}

func amount(value float64, unit string) string {
	if unit == "" {
		return fmt.Sprintf("%.0f", value)
	}
	return fmt.Sprintf("%.2f %s", value, unit)
}

// find returns the finished result of a scenario that is run once.
func (r *Report) find(scenario string) *Result {
	for i := range r.Results {
		if r.Results[i].Scenario == scenario && r.Results[i].Error == "" {
			return &r.Results[i]
		}
	}
	return nil
}

// peak is the most memory in any scenario that never has more groups than that.
func (r *Report) peak(groups, size int) float64 {
	peak := 0.0
	for _, scenario := range []string{Create, Idle, Kill, Update, Restart} {
		if result := r.Find(Key{scenario, groups, size}); result != nil {
			peak = max(peak, result.PeakMiB)
		}
	}
	return peak
}

// writes counts all writes, and those that asked for what can't be: answered with Conflict or Unprocessable Entity. A deletion of what is
// gone already does no harm.
func (r *Report) writes() (all, failed int) {
	for i := range r.Results {
		all += Sum(r.Results[i].Writes)
		for what, count := range r.Results[i].FailedWrites {
			if strings.HasPrefix(what, "409 ") || strings.HasPrefix(what, "422 ") {
				failed += count
			}
		}
	}
	return all, failed
}

// ratio is a to b; two figures of nothing are the same.
func ratio(a, b float64) float64 {
	if a == b {
		return 1
	}
	return a / b
}

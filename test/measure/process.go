// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package measure

import (
	"fmt"
	"os"
	"time"

	"github.com/prometheus/procfs"
)

// Usage is what a process has taken so far. It is known on Linux only.
type Usage struct {
	// CPU is the time on all cores, in the program and in the kernel, in steps of 10 ms.
	CPU time.Duration
	// Resident is the memory that the process takes at the moment, and Peak the most that it took since ResetPeak or its start. Both
	// are in bytes, and include the parts of the program's file that are in memory.
	Resident, Peak uint64
	// Anonymous is the part of Resident that comes from no file: heap and stacks.
	Anonymous uint64
}

// UsageOf is the usage of a running process.
func UsageOf(pid int) (Usage, error) {
	process, err := procfs.NewProc(pid)
	if err != nil {
		return Usage{}, err
	}
	stat, err := process.Stat()
	if err != nil {
		return Usage{}, err
	}
	status, err := process.NewStatus()
	if err != nil {
		return Usage{}, err
	}
	return Usage{
		CPU:       time.Duration(stat.CPUTime() * float64(time.Second)),
		Resident:  status.VmRSS,
		Peak:      status.VmHWM,
		Anonymous: status.RssAnon,
	}, nil
}

// ResetPeak has Usage.Peak start anew from what the process takes now.
func ResetPeak(pid int) error {
	// From proc(5), clear_refs: 5 resets the peak resident set size.
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
}

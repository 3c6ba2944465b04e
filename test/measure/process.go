// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package measure

import (
	"fmt"
	"os"
	"time"

	"github.com/prometheus/procfs"
)

// Usage has the resources that a process has used. It is available on Linux only.
type Usage struct {
	// CPU is the CPU time on all cores, in the program and in the kernel, in steps of 10 ms.
	CPU time.Duration
	// Resident is the present memory of the process. Peak is the most memory since ResetPeak, or since the start. Both are
	// in bytes, and include the parts of the program's file that are in memory.
	Resident, Peak uint64
	// Anonymous is the part of Resident that isn't from a file: heap and stacks.
	Anonymous uint64
}

// UsageOf returns the usage of a running process.
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

// ResetPeak sets Usage.Peak to the present memory of the process.
func ResetPeak(pid int) error {
	// From proc(5), clear_refs: 5 resets the peak resident set size.
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
}

// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package report holds what a benchmark measured: as JSON to keep and compare, as tables to read, and as plots.
package report

import (
	"encoding/json"
	"fmt"
	"os"
)

// Scenarios, by the names that reports have for them.
const (
	Floor     = "floor"
	Create    = "create"
	Idle      = "idle"
	Kill      = "kill workers"
	Update    = "update"
	Restart   = "restart operator"
	ScaleUp   = "scale up"
	ScaleDown = "scale down"
	Delete    = "delete"
	// UpdateFloor and SlowFloor are the replacement of the floor's pods, as many groups at a time as Update and SlowUpdate may take down.
	// SlowCreate and SlowUpdate are the creation and the rolling update of such pods.
	UpdateFloor = "floor, update"
	SlowFloor   = "floor, slow pods"
	SlowCreate  = "create, slow pods"
	SlowUpdate  = "update, slow pods"
	// Alone and Among are starts of the operator, without and with strangers' pods in the cluster.
	Alone = "start alone"
	Among = "start among strangers"
	// Strangers is when the strangers' pods come.
	Strangers = "strangers come"
	// Large and LargeDelete are the creation and deletion of few groups of many pods.
	Large       = "create large groups"
	LargeDelete = "delete large groups"
)

// floors are the scenarios that others are compared with, by those.
var floors = map[string]string{Create: Floor, Large: Floor, Update: UpdateFloor, SlowUpdate: SlowFloor}

// isFloor says whether a scenario is there to compare others with.
func isFloor(scenario string) bool {
	return scenario == Floor || scenario == UpdateFloor || scenario == SlowFloor
}

// Report is what one run of the benchmark found.
type Report struct {
	// Date is the day of the run, as 2006-01-02.
	Date string `json:"date"`
	// Controller and Version are those of the controller under test.
	Controller string `json:"controller"`
	Version    string `json:"version"`
	// Kubernetes and Go are versions.
	Kubernetes string `json:"kubernetes"`
	Go         string `json:"go"`
	// Machine is the machine's operating system and architecture, Cores and MemoryGiB its size.
	Machine   string  `json:"machine"`
	Cores     int     `json:"cores"`
	MemoryGiB float64 `json:"memoryGiB"`
	// Results are in the order of the run.
	Results []Result `json:"results"`
}

// Key says what a result is about. Results of two reports with the same key can be compared.
type Key struct {
	Scenario string `json:"scenario"`
	// Groups is the number of groups that are created. Scaling goes up from there, then down to half of it.
	Groups int `json:"groups"`
	// Size is the number of pods in a group.
	Size int `json:"size"`
}

// Result is what one scenario took.
type Result struct {
	Key
	// Error is why the scenario didn't come to its end. Figures are those until then.
	Error string `json:"error,omitempty"`

	// Seconds is the time until the pods are as they should be: there or gone, updated, ready.
	Seconds float64 `json:"seconds"`
	// StatusSeconds is the time until the status of the LeaderWorkerSet says so, 0 in scenarios in which it has nothing to say.
	StatusSeconds float64 `json:"statusSeconds,omitempty"`

	// Writes and Reads are the controller's requests by verb and resource, "patch pods". They include those that failed, which
	// FailedWrites counts by HTTP status too: "409 patch pods".
	Writes       map[string]int `json:"writes,omitempty"`
	Reads        map[string]int `json:"reads,omitempty"`
	FailedWrites map[string]int `json:"failedWrites,omitempty"`

	// CPUSeconds is what the controller's process took on all cores until it came to rest.
	CPUSeconds float64 `json:"cpuSeconds"`
	// ClusterCPUSeconds is what the components of the cluster took meanwhile, from the API server to the simulated nodes.
	ClusterCPUSeconds float64 `json:"clusterCPUSeconds,omitempty"`
	// ResidentMiB is the memory of the process at the end, PeakMiB the most it took during the scenario. AnonymousMiB is the part of
	// ResidentMiB that is no part of the program's file: heap and stacks.
	ResidentMiB  float64 `json:"residentMiB"`
	AnonymousMiB float64 `json:"anonymousMiB"`
	PeakMiB      float64 `json:"peakMiB"`
	// Passes is how many passes the controller's reconcilers made; nil if its metrics don't say.
	Passes *float64 `json:"passes,omitempty"`

	// FewestReady is the smallest number of groups that were ready at a time; nil outside of rollouts.
	FewestReady *int `json:"fewestReady,omitempty"`
	// Restarts tells of the groups of which a pod was killed; nil in other scenarios.
	Restarts *Restarts `json:"restarts,omitempty"`
}

// Restarts counts groups.
type Restarts struct {
	// Killed groups lost a pod.
	Killed int `json:"killed"`
	// Restarted groups had all of their pods replaced.
	Restarted int `json:"restarted"`
	// Again are groups that had a pod replaced more than once.
	Again int `json:"again"`
	// Others are groups that had pods replaced although none had been killed.
	Others int `json:"others"`
}

// Sum is the number of all requests.
func Sum(requests map[string]int) int {
	sum := 0
	for _, count := range requests {
		sum += count
	}
	return sum
}

// Find returns the result with the key, nil if there is none or if it is one of a scenario that didn't come to its end.
func (r *Report) Find(key Key) *Result {
	for i := range r.Results {
		if r.Results[i].Key == key && r.Results[i].Error == "" {
			return &r.Results[i]
		}
	}
	return nil
}

// Write writes the report to a file, as JSON.
func (r *Report) Write(file string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(data, '\n'), 0o644)
}

// Read reads what Write has written.
func Read(file string) (*Report, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	r := &Report{}
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return r, nil
}

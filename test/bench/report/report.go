// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package report has the results of a benchmark. It writes them as JSON, which later runs compare with, as tables and
// as plots.
package report

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// The profiles of control planes in reports.
const (
	// Unlimited lifts the client limits of the controller manager and the scheduler.
	Unlimited = "unlimited"
	// Defaults has the limits of most clusters: 20 requests a second for each controller, five StatefulSet workers.
	Defaults = "defaults"
)

// The names of scenarios in reports.
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
	// UpdateFloor and SlowFloor replace the floor's pods, as many groups at a time as Update and SlowUpdate may.
	// SlowCreate and SlowUpdate are the creation and the rolling update of pods that take seconds to become ready.
	UpdateFloor = "floor, update"
	SlowFloor   = "floor, slow pods"
	SlowCreate  = "create, slow pods"
	SlowUpdate  = "update, slow pods"
	// Alone and Among are starts of the operator, without and with pods of no LeaderWorkerSet in the cluster.
	Alone = "start alone"
	Among = "start among strangers"
	// Strangers is the creation of pods of no LeaderWorkerSet.
	Strangers = "strangers come"
	// Large and LargeDelete are the creation and deletion of few groups of many pods.
	Large       = "create large groups"
	LargeDelete = "delete large groups"
	// Edit changes the image and the number of groups at once.
	Edit = "update and scale up"
	// Recovery is the restart of each group after the death of a worker. RecoveryCreate creates these groups.
	Recovery       = "recovery"
	RecoveryCreate = "create, recovery"
	// Many creates sets of one group each. Groups is the number of sets. ManyFloor creates two StatefulSets for each of
	// them instead.
	Many      = "create many sets"
	ManyFloor = "floor, many sets"
	// Roles creates DisaggregatedSets of two roles with one group each, and RolesUpdate rolls them out. Groups is the
	// number of roles of all sets, which is that of the LeaderWorkerSets.
	Roles       = "create sets of roles"
	RolesUpdate = "update sets of roles"
)

// floors has the scenario that a scenario is compared with: the same pods without a controller, or for Recovery their
// creation.
var floors = map[string]string{
	Create: Floor, Large: Floor, Update: UpdateFloor, SlowUpdate: SlowFloor, Many: ManyFloor, Recovery: RecoveryCreate,
}

// isFloor reports whether a scenario runs without a controller.
func isFloor(scenario string) bool {
	return scenario == Floor || scenario == UpdateFloor || scenario == SlowFloor || scenario == ManyFloor
}

// Report has the results of one run of the benchmark.
type Report struct {
	// Date is the day of the run, as 2006-01-02.
	Date string `json:"date"`
	// Controller and Version are the name and version of the controller under test.
	Controller string `json:"controller"`
	Version    string `json:"version"`
	// Build is the SHA-256 of the controller's program.
	Build string `json:"build,omitempty"`
	// Kubernetes and Go are versions.
	Kubernetes string `json:"kubernetes"`
	Go         string `json:"go"`
	// Machine is the machine's operating system and architecture, Cores and MemoryGiB its size.
	Machine   string  `json:"machine"`
	Cores     int     `json:"cores"`
	MemoryGiB float64 `json:"memoryGiB"`
	// Results are in the order of the run. Results of several runs have the same keys.
	Results []Result `json:"results"`
}

// Key identifies a result. Results of two reports with the same key are comparable.
type Key struct {
	Scenario string `json:"scenario"`
	// Groups is the number of groups at creation. ScaleUp starts from it, and ScaleDown ends at half of it.
	Groups int `json:"groups"`
	// Size is the number of pods in a group.
	Size int `json:"size"`
	// Profile is Unlimited or Defaults.
	Profile string `json:"profile,omitempty"`
}

// Result has the costs of one scenario.
type Result struct {
	Key
	// Error is why the scenario didn't finish. Its figures cover the time until then.
	Error string `json:"error,omitempty"`

	// Seconds is the time until the pods are in the desired state: created or deleted, updated, ready.
	Seconds float64 `json:"seconds"`
	// StatusSeconds is the time until the status of the LeaderWorkerSet reports that, or 0 in scenarios that don't change
	// the status.
	StatusSeconds float64 `json:"statusSeconds,omitempty"`
	// MarkedSeconds is the time until all pods from before the scenario are terminating or deleted, or 0 outside of
	// Recovery.
	MarkedSeconds float64 `json:"markedSeconds,omitempty"`

	// Writes and Reads count the controller's requests by verb and resource, like "patch pods". They include failed
	// requests. FailedWrites counts failed writes also by HTTP status, like "409 patch pods".
	Writes       map[string]int `json:"writes,omitempty"`
	Reads        map[string]int `json:"reads,omitempty"`
	FailedWrites map[string]int `json:"failedWrites,omitempty"`
	// ClusterRequests count the requests of all users in the cluster, by sender, then by verb and resource. Watches and
	// leases don't count.
	ClusterRequests map[string]map[string]int `json:"clusterRequests,omitempty"`

	// CPUSeconds is the CPU time of the controller's process on all cores, until it was at rest.
	CPUSeconds float64 `json:"cpuSeconds"`
	// ClusterCPUSeconds is the CPU time of the cluster's components during that time, from the API server to the simulated
	// nodes.
	ClusterCPUSeconds float64 `json:"clusterCPUSeconds,omitempty"`
	// ResidentMiB is the memory of the process at the end. PeakMiB is the most memory during the scenario. AnonymousMiB is
	// the part of ResidentMiB that isn't part of the program's file: heap and stacks.
	ResidentMiB  float64 `json:"residentMiB"`
	AnonymousMiB float64 `json:"anonymousMiB"`
	PeakMiB      float64 `json:"peakMiB"`
	// Passes is the number of passes of the controller's reconcilers, or nil if its metrics don't have it.
	Passes *float64 `json:"passes,omitempty"`

	// FewestReady is the smallest number of groups that were ready at the same time, or nil outside of rollouts.
	FewestReady *int `json:"fewestReady,omitempty"`
	// Restarts counts the restarts after pods were killed. It is nil in other scenarios.
	Restarts *Restarts `json:"restarts,omitempty"`

	// Runs is the number of runs that Medians has summarized, Fastest and Slowest are the Seconds of two of them.
	Runs    int     `json:"-"`
	Fastest float64 `json:"-"`
	Slowest float64 `json:"-"`
}

// Restarts counts groups.
type Restarts struct {
	// Killed is the number of groups in which a pod was killed.
	Killed int `json:"killed"`
	// Restarted is the number of those groups whose pods were all replaced.
	Restarted int `json:"restarted"`
	// Again is the number of groups in which a pod was replaced more than once.
	Again int `json:"again"`
	// Others is the number of groups in which pods were replaced although none was killed.
	Others int `json:"others"`
}

// The senders of requests in ClusterRequests.
const (
	Operator              = "operator"
	StatefulSetController = "StatefulSet controller"
	GarbageCollector      = "garbage collector"
	Scheduler             = "scheduler"
	Nodes                 = "nodes"
	Client                = "client"
	Others                = "others"
)

// Senders returns all senders, in the order of tables.
func Senders() []string {
	return []string{Operator, StatefulSetController, GarbageCollector, Scheduler, Nodes, Client, Others}
}

// podRequests returns the number of a sender's requests for pods, StatefulSets and their subresources.
func (r *Result) podRequests(sender string) int {
	sum := 0
	for request, count := range r.ClusterRequests[sender] {
		_, resource, _ := strings.Cut(request, " ")
		resource, _, _ = strings.Cut(resource, "/")
		if resource == "pods" || resource == "statefulsets" {
			sum += count
		}
	}
	return sum
}

// allPodRequests returns the number of podRequests of all senders.
func (r *Result) allPodRequests() int {
	sum := 0
	for sender := range r.ClusterRequests {
		sum += r.podRequests(sender)
	}
	return sum
}

// Sum returns the number of all requests.
func Sum(requests map[string]int) int {
	sum := 0
	for _, count := range requests {
		sum += count
	}
	return sum
}

// Find returns the result with the key, or nil if there is none, or if its scenario didn't finish.
func (r *Report) Find(key Key) *Result {
	if found := r.result(key); found != nil && found.Error == "" {
		return found
	}
	return nil
}

// result returns the result of a scenario, finished or not, or nil.
func (r *Report) result(key Key) *Result {
	for i := range r.Results {
		if r.Results[i].Key == key {
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

// Read reads a report that Write has written, also one without profiles.
func Read(file string) (*Report, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	r := &Report{}
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	for i := range r.Results {
		if r.Results[i].Profile == "" { // The only profile that earlier reports know.
			r.Results[i].Profile = Unlimited
		}
	}
	return r, nil
}

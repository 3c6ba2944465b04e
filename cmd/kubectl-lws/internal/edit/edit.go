// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package edit makes the patches that the plugin sends. It is pure. A patch holds for the generation of the set that
// the user saw: the API server refuses it if somebody has changed the spec since.
package edit

import (
	"encoding/json"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// operation is an operation of a JSON patch.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

// patch returns a JSON patch that applies to the generation of a set only.
func patch(lws *leaderworkersetv1.LeaderWorkerSet, operations ...operation) ([]byte, error) {
	seen := operation{Op: "test", Path: "/metadata/generation", Value: lws.Generation}
	return json.Marshal(append([]operation{seen}, operations...))
}

const (
	specPath     = "/spec"
	templatePath = specPath + "/leaderWorkerTemplate"
)

// undone are the fields of leaderWorkerTemplate that pods are created from. volumeClaimTemplates isn't one of them: it
// can't be changed.
var undone = []string{"leaderTemplate", "workerTemplate", "size", "subGroupPolicy"}

// Undo returns the patch that takes everything that pods are created from out of a revision. Fields that the revision
// doesn't have are removed. The data is taken as it is stored: it may have fields that this program doesn't know.
func Undo(lws *leaderworkersetv1.LeaderWorkerSet, revision *appsv1.ControllerRevision) ([]byte, error) {
	var data struct {
		Spec struct {
			LeaderWorkerTemplate map[string]any `json:"leaderWorkerTemplate"`
			NetworkConfig        map[string]any `json:"networkConfig"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(revision.Data.Raw, &data); err != nil {
		return nil, fmt.Errorf("revision %s: %w", revision.Name, err)
	}
	if data.Spec.LeaderWorkerTemplate["workerTemplate"] == nil {
		return nil, fmt.Errorf("revision %s has no spec.leaderWorkerTemplate.workerTemplate", revision.Name)
	}
	var operations []operation
	for _, field := range undone {
		// Adding a field first makes its removal possible whether the set has the field or not.
		path, value := templatePath+"/"+field, data.Spec.LeaderWorkerTemplate[field]
		if value == nil {
			operations = append(operations, operation{Op: "add", Path: path, Value: map[string]any{}},
				operation{Op: "remove", Path: path})
		} else {
			operations = append(operations, operation{Op: "add", Path: path, Value: value})
		}
	}
	network := data.Spec.NetworkConfig
	delete(network, "$patch")
	if len(network) == 0 {
		network = map[string]any{"subdomainPolicy": leaderworkersetv1.SubdomainShared}
	}
	operations = append(operations, operation{Op: "add", Path: specPath + "/networkConfig", Value: network})
	return patch(lws, operations...)
}

// restartedAt is the annotation by which kubectl makes workloads restart.
const restartedAt = "kubectl.kubernetes.io/restartedAt"

// Restart returns the patch that makes a new revision of the same pods: an annotation of both templates with a time.
func Restart(lws *leaderworkersetv1.LeaderWorkerSet, at time.Time) ([]byte, error) {
	template := &lws.Spec.LeaderWorkerTemplate
	stamp := at.UTC().Format(time.RFC3339)
	operations := annotate("workerTemplate", template.WorkerTemplate.Annotations, stamp)
	if template.LeaderTemplate != nil {
		operations = append(operations, annotate("leaderTemplate", template.LeaderTemplate.Annotations, stamp)...)
	}
	return patch(lws, operations...)
}

// annotate returns the operations that annotate a template. The metadata of a template may be missing, as an empty
// object is the same.
func annotate(template string, present map[string]string, stamp string) []operation {
	annotations := map[string]string{restartedAt: stamp}
	for key, value := range present {
		if key != restartedAt {
			annotations[key] = value
		}
	}
	return []operation{{Op: "add", Path: templatePath + "/" + template + "/metadata/annotations", Value: annotations}}
}

// Partition returns the patch that sets the partition.
func Partition(lws *leaderworkersetv1.LeaderWorkerSet, partition int32) ([]byte, error) {
	strategy := lws.Spec.RolloutStrategy.DeepCopy()
	if strategy.RollingUpdateConfiguration == nil {
		strategy.RollingUpdateConfiguration = &leaderworkersetv1.RollingUpdateConfiguration{}
	}
	strategy.RollingUpdateConfiguration.Partition = ptr.To(partition)
	return patch(lws, operation{Op: "add", Path: specPath + "/rolloutStrategy", Value: strategy})
}

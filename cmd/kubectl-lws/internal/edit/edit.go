// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package edit makes the patches that the plugin sends. It is pure. A patch holds for the generation of the set that
// the user saw: the API server refuses it if somebody has changed the spec since.
package edit

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/placement"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/revision"
)

// operation is an operation of a JSON patch.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitzero"`
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
func Undo(lws *leaderworkersetv1.LeaderWorkerSet, target *appsv1.ControllerRevision) ([]byte, error) {
	var data struct {
		Spec struct {
			LeaderWorkerTemplate map[string]any `json:"leaderWorkerTemplate"`
			NetworkConfig        map[string]any `json:"networkConfig"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(target.Data.Raw, &data); err != nil {
		return nil, fmt.Errorf("revision %s: %w", target.Name, err)
	}
	if data.Spec.LeaderWorkerTemplate["workerTemplate"] == nil {
		return nil, fmt.Errorf("revision %s has no spec.leaderWorkerTemplate.workerTemplate", target.Name)
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
	return patch(lws, append(operations, undonePlacement(lws, target)...)...)
}

// undonePlacement returns the operations that give a set the annotations for placement of a revision, and remove
// others. A revision that doesn't say its placement changes none.
func undonePlacement(lws *leaderworkersetv1.LeaderWorkerSet, target *appsv1.ControllerRevision) []operation {
	const annotations = "/metadata/annotations"
	wanted := revision.PlacementOf(target)
	if wanted == nil {
		return nil
	}
	var operations []operation
	for _, key := range placement.Keys {
		path := annotations + "/" + strings.ReplaceAll(key, "/", "~1")
		is, found := lws.Annotations[key]
		switch value := wanted[key]; {
		case value == "" && found:
			operations = append(operations, operation{Op: "remove", Path: path})
		case value != "" && value != is:
			operations = append(operations, operation{Op: "add", Path: path, Value: value})
		}
	}
	if len(operations) > 0 && lws.Annotations == nil {
		return append([]operation{{Op: "add", Path: annotations, Value: map[string]string{}}}, operations...)
	}
	return operations
}

// restartedAt is the annotation by which kubectl makes workloads restart.
const restartedAt = "kubectl.kubernetes.io/restartedAt"

// Restart returns the patch that makes a new revision of the same pods: an annotation of both templates with a time.
func Restart(lws *leaderworkersetv1.LeaderWorkerSet, at time.Time) ([]byte, error) {
	template := &lws.Spec.LeaderWorkerTemplate
	operations := []operation{annotate("workerTemplate", &template.WorkerTemplate, at)}
	if template.LeaderTemplate != nil {
		operations = append(operations, annotate("leaderTemplate", template.LeaderTemplate, at))
	}
	return patch(lws, operations...)
}

// annotate returns the operation that annotates a template. It writes all metadata of the template: there may be none
// yet, and a JSON patch can't add to what doesn't exist.
func annotate(name string, template *corev1.PodTemplateSpec, at time.Time) operation {
	annotated := template.ObjectMeta.DeepCopy()
	metav1.SetMetaDataAnnotation(annotated, restartedAt, at.UTC().Format(time.RFC3339))
	return operation{Op: "add", Path: templatePath + "/" + name + "/metadata", Value: annotated}
}

// Partition returns the patch that sets the partition.
func Partition(lws *leaderworkersetv1.LeaderWorkerSet, partition int32) ([]byte, error) {
	const strategy = specPath + "/rolloutStrategy"
	if lws.Spec.RolloutStrategy.RollingUpdateConfiguration == nil { // The sets of other controllers may have none.
		value := map[string]any{"type": leaderworkersetv1.RollingUpdateStrategyType,
			"rollingUpdateConfiguration": map[string]any{"partition": partition}}
		return patch(lws, operation{Op: "add", Path: strategy, Value: value})
	}
	return patch(lws, operation{Op: "add", Path: strategy + "/rollingUpdateConfiguration/partition", Value: partition})
}

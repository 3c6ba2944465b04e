// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package revision writes the parts of a LeaderWorkerSet that a rollout changes, its templates, network configuration
// and placement, as ControllerRevisions, and reads them back. Revisions are compared by their meaning, never by their
// bytes: other controllers, and other versions of this one, write the same templates in other words.
package revision

import (
	"cmp"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"reflect"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/rand"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/placement"
)

// Template is the part of a LeaderWorkerSet whose change makes a new revision.
type Template struct {
	LeaderWorkerTemplate leaderworkersetv1.LeaderWorkerTemplate
	NetworkConfig        leaderworkersetv1.NetworkConfig

	// Placement are the annotations that ask for placement, see [placement.Of]. Nil if the revision doesn't say it: it is
	// of another controller, or of an earlier version.
	Placement map[string]string `json:",omitempty"`
}

// TemplateOf returns the template that the set asks for, with defaults filled in.
func TemplateOf(lws *leaderworkersetv1.LeaderWorkerSet) Template {
	template := defaulted(&lws.Spec.LeaderWorkerTemplate, lws.Spec.NetworkConfig)
	template.Placement = placement.Of(lws.Annotations)
	return template
}

// Parse reads the template of a revision, with defaults filled in. It fails for data that isn't a patch of a
// LeaderWorkerSet.
func Parse(revision *appsv1.ControllerRevision) (Template, error) {
	var data struct {
		Spec struct {
			LeaderWorkerTemplate *leaderworkersetv1.LeaderWorkerTemplate `json:"leaderWorkerTemplate"`
			NetworkConfig        *leaderworkersetv1.NetworkConfig        `json:"networkConfig"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(revision.Data.Raw, &data); err != nil {
		return Template{}, fmt.Errorf("revision %s: %w", revision.Name, err)
	}
	if data.Spec.LeaderWorkerTemplate == nil {
		return Template{}, fmt.Errorf("revision %s: no spec.leaderWorkerTemplate", revision.Name)
	}
	template := defaulted(data.Spec.LeaderWorkerTemplate, data.Spec.NetworkConfig)
	template.Placement = PlacementOf(revision)
	return template, nil
}

// PlacementOf returns the placement of the groups of a revision; nil if the revision doesn't say it.
func PlacementOf(revision *appsv1.ControllerRevision) map[string]string {
	var asked map[string]string
	text := revision.Annotations[leaderworkersetv1.PlacementAnnotationKey]
	if text == "" || json.Unmarshal([]byte(text), &asked) != nil || asked == nil {
		return nil
	}
	return asked
}

// WithPlacement returns a copy of a revision that says the placement of its groups. The placement is no part of the
// data: other controllers compare that.
func WithPlacement(revision *appsv1.ControllerRevision, asked map[string]string) *appsv1.ControllerRevision {
	text, err := json.Marshal(asked)
	if err != nil {
		panic(err) // Texts can be written as JSON.
	}
	revision = revision.DeepCopy()
	metav1.SetMetaDataAnnotation(&revision.ObjectMeta, leaderworkersetv1.PlacementAnnotationKey, string(text))
	return revision
}

// Leader returns the template of the leader pods.
func (t *Template) Leader() *corev1.PodTemplateSpec {
	if t.LeaderWorkerTemplate.LeaderTemplate != nil {
		return t.LeaderWorkerTemplate.LeaderTemplate
	}
	return &t.LeaderWorkerTemplate.WorkerTemplate
}

// Subdomain returns the policy that names the groups' headless Services.
func (t *Template) Subdomain() leaderworkersetv1.SubdomainPolicy {
	return *t.NetworkConfig.SubdomainPolicy
}

// Equal reports whether both templates make the same pods: defaults may be written out in one of them.
// restartPolicy, maxGroupRestarts and persistentVolumeClaimRetentionPolicy don't count. They say how pods are treated,
// not what they are. A template that doesn't say its placement is equal whatever the placement of the other is.
func (t Template) Equal(other Template) bool {
	a, b := t.meaning(), other.meaning()
	if a.Placement == nil || b.Placement == nil {
		a.Placement, b.Placement = nil, nil
	}
	return equality.Semantic.DeepEqual(a, b)
}

// EqualPods reports whether two pod templates make the same pods: defaults may be written out in one of them.
func EqualPods(a, b *corev1.PodTemplateSpec) bool {
	a, b = a.DeepCopy(), b.DeepCopy()
	fillIn(reflect.ValueOf(a))
	fillIn(reflect.ValueOf(b))
	return equality.Semantic.DeepEqual(a, b)
}

// Key returns the revision's label template-revision-hash.
func Key(revision *appsv1.ControllerRevision) string {
	return revision.Labels[leaderworkersetv1.RevisionLabelKey]
}

// Find returns the revision with that key; nil if there is none.
func Find(revisions []*appsv1.ControllerRevision, key string) *appsv1.ControllerRevision {
	i := slices.IndexFunc(revisions, func(r *appsv1.ControllerRevision) bool { return Key(r) == key })
	if i < 0 {
		return nil
	}
	return revisions[i]
}

// Equivalent returns the newest of the set's revisions that means what the set asks for; nil if there is none. The
// revisions are given oldest first. Those that can't be read are skipped.
func Equivalent(lws *leaderworkersetv1.LeaderWorkerSet, owned []*appsv1.ControllerRevision) *appsv1.ControllerRevision {
	wanted := TemplateOf(lws)
	for _, revision := range slices.Backward(owned) {
		if template, err := Parse(revision); err == nil && template.Equal(wanted) {
			return revision
		}
	}
	return nil
}

// New returns a revision of what the set asks for. Its number follows those of all revisions that carry the set's
// name, and none of them has its key.
func New(
	lws *leaderworkersetv1.LeaderWorkerSet, named []*appsv1.ControllerRevision,
) (*appsv1.ControllerRevision, error) {
	template := TemplateOf(lws)
	key, err := template.unusedKey(named)
	if err != nil {
		return nil, err
	}
	return Restored(lws, named, key)
}

// Restored returns a revision of what the set asks for with the key of one that was deleted: groups carry it.
func Restored(
	lws *leaderworkersetv1.LeaderWorkerSet, named []*appsv1.ControllerRevision, key string,
) (*appsv1.ControllerRevision, error) {
	template := TemplateOf(lws)
	data, err := template.patch()
	if err != nil {
		return nil, err
	}
	number := Latest(named) + 1
	return WithPlacement(&appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{
			Name:      fmt.Sprintf("%s-%s-%d", lws.Name, key, number),
			Namespace: lws.Namespace,
			Labels: map[string]string{
				leaderworkersetv1.SetNameLabelKey:  lws.Name,
				leaderworkersetv1.RevisionLabelKey: key,
			},
			OwnerReferences: []metav1.OwnerReference{
				*metav1.NewControllerRef(lws, leaderworkersetv1.GroupVersion.WithKind("LeaderWorkerSet")),
			},
		},
		Data:     runtime.RawExtension{Raw: data},
		Revision: number,
	}, template.Placement), nil
}

// Latest returns the highest number among the revisions; 0 if there are none.
func Latest(revisions []*appsv1.ControllerRevision) int64 {
	latest := int64(0)
	for _, revision := range revisions {
		latest = max(latest, revision.Revision)
	}
	return latest
}

// Surplus returns the revisions to delete so that at most limit unused ones remain, oldest first. A revision is in
// use if inUse knows its key. Of several with one key, which a late view may have created, the newest is in use.
func Surplus(owned []*appsv1.ControllerRevision, inUse func(key string) bool, limit int) []*appsv1.ControllerRevision {
	oldestFirst := slices.Clone(owned)
	slices.SortStableFunc(oldestFirst, func(a, b *appsv1.ControllerRevision) int {
		return cmp.Compare(a.Revision, b.Revision)
	})
	var unused []*appsv1.ControllerRevision
	for i, revision := range oldestFirst {
		if !inUse(Key(revision)) || Find(oldestFirst[i+1:], Key(revision)) != nil {
			unused = append(unused, revision)
		}
	}
	return unused[:max(len(unused)-limit, 0)]
}

// defaulted fills in the template's defaults through those of the set, so that they are written down once.
func defaulted(template *leaderworkersetv1.LeaderWorkerTemplate, network *leaderworkersetv1.NetworkConfig) Template {
	lws := leaderworkersetv1.LeaderWorkerSet{Spec: leaderworkersetv1.LeaderWorkerSetSpec{
		LeaderWorkerTemplate: *template.DeepCopy(),
		NetworkConfig:        network.DeepCopy(),
	}}
	lws.Default()
	return Template{LeaderWorkerTemplate: lws.Spec.LeaderWorkerTemplate, NetworkConfig: *lws.Spec.NetworkConfig}
}

// meaning returns the template in the one form that equal templates share: with the leader's template and all defaults
// written out, and without the fields that only steer behavior.
func (t Template) meaning() Template {
	t.LeaderWorkerTemplate = *t.LeaderWorkerTemplate.DeepCopy()
	t.LeaderWorkerTemplate.LeaderTemplate = t.Leader()
	t.LeaderWorkerTemplate.RestartPolicy = ""
	t.LeaderWorkerTemplate.MaxGroupRestarts = nil
	t.LeaderWorkerTemplate.PersistentVolumeClaimRetentionPolicy = nil
	for i := range t.LeaderWorkerTemplate.VolumeClaimTemplates {
		claim := &t.LeaderWorkerTemplate.VolumeClaimTemplates[i]
		// Every claim has this type, and a new one has no status.
		claim.TypeMeta, claim.Status = metav1.TypeMeta{}, corev1.PersistentVolumeClaimStatus{}
	}
	fillIn(reflect.ValueOf(&t.LeaderWorkerTemplate))
	return t
}

// patch returns the template in the contract's form: a strategic merge patch of a LeaderWorkerSet that replaces both
// parts.
func (t Template) patch() ([]byte, error) {
	template, err := replacement(&t.LeaderWorkerTemplate)
	if err != nil {
		return nil, err
	}
	network, err := replacement(&t.NetworkConfig)
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]any{"spec": map[string]any{"leaderWorkerTemplate": template, "networkConfig": network}})
}

func replacement(part any) (map[string]any, error) {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(part)
	if err != nil {
		return nil, err
	}
	fields["$patch"] = "replace"
	return fields, nil
}

// unusedKey hashes the template's meaning into 32 bits, as StatefulSets and Deployments do. While another template's
// revision has that key, it adds a count and hashes again.
func (t Template) unusedKey(named []*appsv1.ControllerRevision) (string, error) {
	meaning, err := json.Marshal(t.meaning())
	if err != nil {
		return "", err
	}
	hash := fnv.New32a()
	hash.Write(meaning)
	for count := byte(0); ; count++ {
		key := rand.SafeEncodeString(fmt.Sprint(hash.Sum32()))
		if Find(named, key) == nil {
			return key, nil
		}
		hash.Write([]byte{count})
	}
}

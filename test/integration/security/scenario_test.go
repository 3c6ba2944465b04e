// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package security

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	disaggregatedsetv1 "github.com/leaderworkerset/lws-operator/api/disaggregatedset/v1"
	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/takeover"
	"github.com/leaderworkerset/lws-operator/test/cluster"
	"github.com/leaderworkerset/lws-operator/test/objects"
)

// stepTimeout bounds each step of the scenario.
const stepTimeout = time.Minute

// step is a part of the scenario. It ends when check returns no error.
type step struct {
	name  string
	do    func(context.Context) error
	check func(context.Context) error
}

// run runs the scenario, until the context is done or the operator ends.
func (i *installed) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case err := <-i.ended:
			cancel(errors.Join(errors.New("the operator ended"), err))
		case <-ctx.Done():
		}
	}()
	for _, step := range i.scenario() {
		if err := step.run(ctx); err != nil {
			return errors.Join(fmt.Errorf("%s: %w", step.name, err), context.Cause(ctx))
		}
	}
	return nil
}

// run makes the change of the step, and waits until its check returns no error.
func (s step) run(ctx context.Context) error {
	if s.do != nil {
		if err := retryConflicts(ctx, s.do); err != nil {
			return err
		}
	}
	return objects.Until(ctx, stepTimeout, s.check)
}

// scenario is the life of two sets, and of a set of roles. It needs every right of the operator. The set llama has
// groups with workers and exclusive placement. The set disk has volume claims, which are never bound.
func (i *installed) scenario() []step {
	llama, disk := i.newSet("llama"), i.newSet("disk")
	llama.Annotations = map[string]string{leaderworkersetv1.ExclusiveKeyAnnotationKey: cluster.RackLabel}
	llama.Spec.RevisionHistoryLimit = ptr.To(int32(1))
	disk.Spec.LeaderWorkerTemplate.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{claimTemplate()}
	disk.Spec.LeaderWorkerTemplate.PersistentVolumeClaimRetentionPolicy =
		&appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{
			WhenScaled:  appsv1.DeletePersistentVolumeClaimRetentionPolicyType,
			WhenDeleted: appsv1.DeletePersistentVolumeClaimRetentionPolicyType,
		}
	taken := i.newSet("taken")
	taken.Spec.LeaderWorkerTemplate.Size = ptr.To(int32(1))
	stranger := pod("taken-0")
	stranger.Namespace, stranger.Spec = i.sets(), taken.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec
	roles := i.newRoles()
	scaler := &disaggregatedsetv1.DisaggregatedSetRoleScaler{
		ObjectMeta: metav1.ObjectMeta{Namespace: i.sets(), Name: "pair-decode"},
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "lws-webhook-authority"}}
	published := i.published()
	available := func(ctx context.Context) error { return available(ctx, i.sets(), "llama") }
	unique := ptr.To(leaderworkersetv1.SubdomainUniquePerReplica)
	return []step{
		{"another controller seems to run", nil, reports(i.system(), otherRuns, false)},
		{"a second one takes over from it", i.holdBy("second"), reports(i.system(), otherRuns, true)},
		{"both are gone", i.holdBy(""), i.ready},
		{"the authority is damaged", i.damage(secret, corev1.TLSCertKey), i.repaired(secret, func() string {
			return string(secret.Data[corev1.TLSCertKey])
		})},
		{"the published authority is damaged", i.damage(published, caKey), i.repaired(published, func() string {
			return published.Data[caKey]
		})},
		{"a reader gets the metrics", i.createReader, i.readMetrics},
		{"sets are created", i.creation(stranger, taken, llama, disk), available},
		{"claims get an owner", nil, i.claimsOwned},
		{"a worker is deleted", i.disruption(i.deletion(pod("llama-0-1"))), i.recreated("llama-0", available)},
		{"another worker is deleted", i.disruption(i.deletion(pod("llama-1-1"))), i.recreated("llama-1", available)},
		{"labels are lost", i.unlabel, i.labeled},
		{"a worker StatefulSet is orphaned", i.disruption(i.orphan("llama-0")), i.recreated("llama-0-1", available)},
		{"image and network change", i.edit("llama", func(lws *leaderworkersetv1.LeaderWorkerSet) {
			lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers[0].Image = "pause:2"
			lws.Spec.NetworkConfig = &leaderworkersetv1.NetworkConfig{SubdomainPolicy: unique}
		}), available},
		{"the shared Service is gone", nil, i.gone(&corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "llama"}})},
		{"the image changes", i.edit("llama", func(lws *leaderworkersetv1.LeaderWorkerSet) {
			lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers[0].Image = "pause:3"
		}), available},
		{"the image is rolled back", i.edit("llama", func(lws *leaderworkersetv1.LeaderWorkerSet) {
			lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers[0].Image = "pause:2"
		}), available},
		{"old revisions are pruned", nil, i.pruned},
		{"a set is scaled down", i.edit("disk", func(lws *leaderworkersetv1.LeaderWorkerSet) {
			lws.Spec.Replicas = ptr.To(int32(1))
		}), i.gone(&corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "data-disk-1-1"}})},
		{"a pod of somebody else has the name of a leader", nil, i.inTheWay},
		{"somebody else has the scaler of a set of roles", i.creation(scaler, roles),
			reports(i.sets(), disaggregatedsetv1.ReasonScalerConflict, false)},
		{"the other scaler is deleted", i.deletion(scaler), i.rolesReady},
		{"the image of a role changes", i.editRoles(func(roles *disaggregatedsetv1.DisaggregatedSet) {
			roles.Spec.Roles[0].Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers[0].Image = "pause:2"
		}), i.rolesReady},
		{"a role has no scaler any more", i.editRoles(func(roles *disaggregatedsetv1.DisaggregatedSet) {
			roles.Spec.Roles[1].Scaling.Mode = disaggregatedsetv1.StaticScaling
			roles.Spec.Roles[1].Spec.Replicas = ptr.To(int32(1))
		}), i.gone(&disaggregatedsetv1.DisaggregatedSetRoleScaler{ObjectMeta: metav1.ObjectMeta{Name: "pair-decode"}})},
		{"a quota allows no revision", i.creation(i.quota()), i.quotaEnforced},
		{"a set is refused its revision again and again", i.creation(i.newSet("refused")),
			reports(i.sets(), leaderworkersetv1.ReasonCreatingRevision, true)},
	}
}

// otherRuns is the reason of the event about another controller that holds the lease.
const otherRuns = "OtherControllerRuns"

// caKey is the key of the ConfigMap with the authority.
const caKey = "ca.crt"

// published returns the ConfigMap in which the operator publishes its authority. It has no data.
func (i *installed) published() *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: i.system(), Name: "lws-metrics-authority"}}
}

func (i *installed) newSet(name string) *leaderworkersetv1.LeaderWorkerSet {
	lws := &leaderworkersetv1.LeaderWorkerSet{ObjectMeta: metav1.ObjectMeta{Namespace: i.sets(), Name: name}}
	lws.Spec.Replicas = ptr.To(int32(2))
	lws.Spec.LeaderWorkerTemplate.Size = ptr.To(int32(2))
	lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers = []corev1.Container{{Name: "server", Image: "pause:1"}}
	return lws
}

// newRoles returns a set of two roles. A scaler has the replicas of the second one.
func (i *installed) newRoles() *disaggregatedsetv1.DisaggregatedSet {
	roles := &disaggregatedsetv1.DisaggregatedSet{ObjectMeta: metav1.ObjectMeta{Namespace: i.sets(), Name: "pair"}}
	for _, name := range []string{"prefill", "decode"} {
		spec := i.newSet(name).Spec
		spec.Replicas, spec.LeaderWorkerTemplate.Size = ptr.To(int32(1)), ptr.To(int32(1))
		roles.Spec.Roles = append(roles.Spec.Roles, disaggregatedsetv1.DisaggregatedRoleSpec{Name: name, Spec: spec})
	}
	roles.Spec.Roles[1].Spec.Replicas = nil
	roles.Spec.Roles[1].Scaling = &disaggregatedsetv1.RoleScaling{Mode: disaggregatedsetv1.ExternalScaling}
	return roles
}

// rolesReady checks that the set of roles is available at its latest generation, and that its scaler has a status.
func (i *installed) rolesReady(ctx context.Context) error {
	roles, scaler := &disaggregatedsetv1.DisaggregatedSet{}, &disaggregatedsetv1.DisaggregatedSetRoleScaler{}
	if err := suite.client.Get(ctx, client.ObjectKey{Namespace: i.sets(), Name: "pair"}, roles); err != nil {
		return err
	}
	if err := suite.client.Get(ctx, client.ObjectKey{Namespace: i.sets(), Name: "pair-decode"}, scaler); err != nil {
		return err
	}
	if roles.Status.ObservedGeneration != roles.Generation || scaler.Status.Selector == "" ||
		!meta.IsStatusConditionTrue(roles.Status.Conditions, disaggregatedsetv1.ConditionAvailable) {
		return fmt.Errorf("the roles aren't available: %+v", roles.Status)
	}
	return nil
}

// editRoles returns a change of the set of roles.
func (i *installed) editRoles(change func(*disaggregatedsetv1.DisaggregatedSet)) func(context.Context) error {
	return func(ctx context.Context) error {
		roles := &disaggregatedsetv1.DisaggregatedSet{}
		if err := suite.client.Get(ctx, client.ObjectKey{Namespace: i.sets(), Name: "pair"}, roles); err != nil {
			return err
		}
		change(roles)
		return suite.client.Update(ctx, roles)
	}
}

func claimTemplate() corev1.PersistentVolumeClaim {
	claim := corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "data"}}
	claim.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	claim.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	return claim
}

func pod(name string) *corev1.Pod { return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}} }

// leaseOf returns the lease of another controller, which nobody renews.
func leaseOf(namespace, holder string) *coordinationv1.Lease {
	return &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: takeover.LeaseName},
		Spec: coordinationv1.LeaseSpec{
			HolderIdentity:       ptr.To(holder),
			LeaseDurationSeconds: ptr.To(int32(1)),
			RenewTime:            ptr.To(metav1.NewMicroTime(time.Unix(1, 0))),
		},
	}
}

// holdBy returns a change that makes another controller the holder of the lease.
func (i *installed) holdBy(holder string) func(context.Context) error {
	return func(ctx context.Context) error {
		lease := leaseOf(i.other(), holder)
		patch, err := patchOf(map[string]any{"spec": lease.Spec})
		if err != nil {
			return err
		}
		return suite.client.Patch(ctx, lease, patch)
	}
}

// reports returns a check that there is an event with this reason in a namespace. If it is repeated, the event counts
// more than one occurrence.
func reports(namespace, reason string, repeated bool) func(context.Context) error {
	return func(ctx context.Context) error {
		var events corev1.EventList
		if err := suite.client.List(ctx, &events, client.InNamespace(namespace)); err != nil {
			return err
		}
		matches := func(e corev1.Event) bool { return e.Reason == reason && (e.Series != nil || !repeated) }
		if !slices.ContainsFunc(events.Items, matches) {
			return fmt.Errorf("there is no event %s", reason)
		}
		return nil
	}
}

// damage returns a change of the data of a Secret or a ConfigMap. It begins only when there is data.
func (i *installed) damage(object client.Object, key string) func(context.Context) error {
	object.SetNamespace(i.system())
	return func(ctx context.Context) error {
		if err := suite.client.Get(ctx, client.ObjectKeyFromObject(object), object); err != nil {
			return err
		}
		patch, err := patchOf(map[string]any{"data": map[string]any{key: "AAAA"}})
		if err != nil {
			return err
		}
		return suite.client.Patch(ctx, object, patch)
	}
}

// repaired returns a check that the data was written again.
func (i *installed) repaired(object client.Object, data func() string) func(context.Context) error {
	object.SetNamespace(i.system())
	return func(ctx context.Context) error {
		if err := suite.client.Get(ctx, client.ObjectKeyFromObject(object), object); err != nil {
			return err
		}
		if !strings.Contains(data(), "BEGIN CERTIFICATE") {
			return fmt.Errorf("%s has no certificate", object.GetName())
		}
		return nil
	}
}

// quota lets nobody create a ControllerRevision.
func (i *installed) quota() *corev1.ResourceQuota {
	return &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Namespace: i.sets(), Name: "no-revisions"},
		Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{
			"count/controllerrevisions.apps": resource.MustParse("0"),
		}},
	}
}

// quotaEnforced checks that the API server knows the quota.
func (i *installed) quotaEnforced(ctx context.Context) error {
	quota := i.quota()
	if err := suite.client.Get(ctx, client.ObjectKeyFromObject(quota), quota); err != nil {
		return err
	}
	if len(quota.Status.Hard) == 0 {
		return errors.New("the quota isn't enforced")
	}
	return nil
}

// inTheWay checks that the set taken reports the pod that has the name of its leader.
func (i *installed) inTheWay(ctx context.Context) error {
	lws := &leaderworkersetv1.LeaderWorkerSet{}
	if err := suite.client.Get(ctx, client.ObjectKey{Namespace: i.sets(), Name: "taken"}, lws); err != nil {
		return err
	}
	for _, group := range lws.Status.UnreadyGroups {
		if strings.Contains(group.Message, "taken-0") {
			return nil
		}
	}
	return fmt.Errorf("the unready groups are %+v", lws.Status.UnreadyGroups)
}

// retryConflicts repeats a change of objects that others change as well.
func retryConflicts(ctx context.Context, change func(context.Context) error) error {
	var fatal error
	err := objects.Until(ctx, stepTimeout, func(ctx context.Context) error {
		fatal = change(ctx)
		if apierrors.IsConflict(fatal) || apierrors.IsNotFound(fatal) {
			return fatal
		}
		return nil
	})
	return errors.Join(err, fatal)
}

func (i *installed) ready(ctx context.Context) error {
	return get(ctx, http.DefaultClient, "http://"+i.health+"/readyz", "")
}

// get returns an error unless the answer is OK.
func get(ctx context.Context, by *http.Client, url, token string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := by.Do(request)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", url, response.Status)
	}
	return errors.Join(err, response.Body.Close())
}

// createReader creates a service account that may read the metrics.
func (i *installed) createReader(ctx context.Context) error {
	name := metav1.ObjectMeta{Namespace: i.system(), Name: i.name + "-reader"}
	account := &corev1.ServiceAccount{ObjectMeta: name}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name.Name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: i.name + "-metrics-reader"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: name.Namespace, Name: name.Name}},
	}
	return errors.Join(suite.client.Create(ctx, account), suite.client.Create(ctx, binding))
}

// readMetrics reads the metrics as that service account. It trusts the authority that the operator publishes.
func (i *installed) readMetrics(ctx context.Context) error {
	authority := i.published()
	if err := suite.client.Get(ctx, client.ObjectKeyFromObject(authority), authority); err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(authority.Data[caKey]))
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: i.system(), Name: i.name + "-reader"}}
	token := &authenticationv1.TokenRequest{}
	if err := suite.client.SubResource("token").Create(ctx, account, token); err != nil {
		return err
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	defer transport.CloseIdleConnections()
	return get(ctx, &http.Client{Transport: transport}, "https://"+i.metrics+"/metrics", token.Status.Token)
}

// creation returns a change that creates objects.
func (i *installed) creation(wanted ...client.Object) func(context.Context) error {
	return func(ctx context.Context) error {
		for _, object := range wanted {
			if err := suite.client.Create(ctx, object); err != nil && !apierrors.IsAlreadyExists(err) {
				return err
			}
		}
		return nil
	}
}

// edit returns a change of a set.
func (i *installed) edit(name string, change func(*leaderworkersetv1.LeaderWorkerSet)) func(context.Context) error {
	return func(ctx context.Context) error {
		lws := &leaderworkersetv1.LeaderWorkerSet{}
		if err := suite.client.Get(ctx, client.ObjectKey{Namespace: i.sets(), Name: name}, lws); err != nil {
			return err
		}
		change(lws)
		return suite.client.Update(ctx, lws)
	}
}

// deletion returns a change that deletes an object.
func (i *installed) deletion(object client.Object, options ...client.DeleteOption) func(context.Context) error {
	object.SetNamespace(i.sets())
	return func(ctx context.Context) error { return suite.client.Delete(ctx, object, options...) }
}

// orphan returns a change that deletes a StatefulSet without its pods.
func (i *installed) orphan(name string) func(context.Context) error {
	return i.deletion(&appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: name}},
		client.PropagationPolicy(metav1.DeletePropagationOrphan))
}

// gone returns a check that an object doesn't exist.
func (i *installed) gone(object client.Object) func(context.Context) error {
	object.SetNamespace(i.sets())
	return func(ctx context.Context) error {
		err := suite.client.Get(ctx, client.ObjectKeyFromObject(object), object)
		if err == nil {
			err = fmt.Errorf("%s still exists", object.GetName())
		}
		return client.IgnoreNotFound(err)
	}
}

// disruption returns a change after which recreated knows the pods from before.
func (i *installed) disruption(change func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		var pods corev1.PodList
		if err := suite.client.List(ctx, &pods, client.InNamespace(i.sets())); err != nil {
			return err
		}
		i.before = map[types.UID]bool{}
		for n := range pods.Items {
			i.before[pods.Items[n].UID] = true
		}
		return change(ctx)
	}
}

// recreated returns a check that a pod was created after the disruption, and that another check passes.
func (i *installed) recreated(name string, and func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		got := pod(name)
		if err := suite.client.Get(ctx, client.ObjectKey{Namespace: i.sets(), Name: name}, got); err != nil {
			return err
		}
		if got.DeletionTimestamp != nil || i.before[got.UID] {
			return fmt.Errorf("%s isn't a new pod", name)
		}
		return and(ctx)
	}
}

// available checks that a set is available in its latest state.
func available(ctx context.Context, namespace, name string) error {
	lws := &leaderworkersetv1.LeaderWorkerSet{}
	if err := suite.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, lws); err != nil {
		return err
	}
	if lws.Status.ObservedGeneration != lws.Generation ||
		!meta.IsStatusConditionTrue(lws.Status.Conditions, leaderworkersetv1.ConditionAvailable) ||
		!meta.IsStatusConditionFalse(lws.Status.Conditions, leaderworkersetv1.ConditionUpdateInProgress) {
		return fmt.Errorf("%s isn't available: %+v", name, lws.Status)
	}
	return nil
}

// claimsOwned checks that the claims of the workers have their set as an owner.
func (i *installed) claimsOwned(ctx context.Context) error {
	for _, name := range []string{"data-disk-0-1", "data-disk-1-1"} {
		claim := &corev1.PersistentVolumeClaim{}
		if err := suite.client.Get(ctx, client.ObjectKey{Namespace: i.sets(), Name: name}, claim); err != nil {
			return err
		}
		ownedBySet := func(owner metav1.OwnerReference) bool { return owner.Kind == "LeaderWorkerSet" }
		if !slices.ContainsFunc(claim.OwnerReferences, ownedBySet) {
			return fmt.Errorf("%s has the owners %v", name, claim.OwnerReferences)
		}
	}
	return nil
}

// unlabeled are objects that lose their labels, and with that disappear from the operator's cache.
func (i *installed) unlabeled(ctx context.Context) ([]client.Object, error) {
	name := metav1.ObjectMeta{Namespace: i.sets(), Name: "llama"}
	var revisions appsv1.ControllerRevisionList
	err := suite.client.List(ctx, &revisions, client.InNamespace(i.sets()))
	if err != nil {
		return nil, err
	}
	found := []client.Object{&appsv1.StatefulSet{ObjectMeta: name}, &corev1.Service{ObjectMeta: name}}
	for n := range revisions.Items {
		owner := metav1.GetControllerOf(&revisions.Items[n])
		if owner != nil && owner.Kind == "LeaderWorkerSet" && owner.Name == "llama" {
			found = append(found, &revisions.Items[n])
		}
	}
	return found, nil
}

// unlabel takes the labels of these objects away.
func (i *installed) unlabel(ctx context.Context) error {
	found, err := i.unlabeled(ctx)
	if err != nil {
		return err
	}
	for _, object := range found {
		patch, err := patchOf(map[string]any{"metadata": map[string]any{"labels": nil}})
		if err != nil {
			return err
		}
		if err := suite.client.Patch(ctx, object, patch); err != nil {
			return err
		}
	}
	return nil
}

// labeled checks that these objects have labels.
func (i *installed) labeled(ctx context.Context) error {
	found, err := i.unlabeled(ctx)
	if err != nil {
		return err
	}
	for _, object := range found {
		if err := suite.client.Get(ctx, client.ObjectKeyFromObject(object), object); err != nil {
			return err
		}
		if object.GetLabels()[leaderworkersetv1.SetNameLabelKey] != "llama" {
			return fmt.Errorf("%T %s has the labels %v", object, object.GetName(), object.GetLabels())
		}
	}
	return nil
}

// pruned checks that the set keeps no more revisions than its limit: the current one and one more.
func (i *installed) pruned(ctx context.Context) error {
	found, err := i.unlabeled(ctx)
	if err != nil {
		return err
	}
	var revisions []string
	for _, object := range found[2:] {
		revisions = append(revisions, object.GetName())
	}
	if len(revisions) != 2 {
		return fmt.Errorf("the revisions are %s", strings.Join(revisions, ", "))
	}
	return nil
}

// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package olm

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	operatorsv2 "github.com/operator-framework/api/pkg/operators/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

// ownedBy returns an owner as OLM writes it.
func ownedBy(kind, name string, uid types.UID) metav1.OwnerReference {
	return metav1.OwnerReference{
		APIVersion: "operators.coreos.com/v1alpha1", Kind: kind, Name: name, UID: uid,
		Controller: ptr.To(false), BlockOwnerDeletion: ptr.To(false),
	}
}

func TestLacksOwner(t *testing.T) {
	const kind = clusterServiceVersion
	current := ownedBy(kind, "lws-operator.v0.2.0", "2")
	notOLM := metav1.OwnerReference{APIVersion: "cert-manager.io/v1", Kind: "Certificate", Name: "serving-cert", UID: "9"}
	for name, test := range map[string]struct {
		owners []metav1.OwnerReference
		want   bool
	}{
		"the previous version":            {[]metav1.OwnerReference{ownedBy(kind, "lws-operator.v0.1.0", "1")}, true},
		"a previous one of the same name": {[]metav1.OwnerReference{ownedBy(kind, current.Name, "1")}, true},
		"the previous version and another owner": {
			[]metav1.OwnerReference{notOLM, ownedBy(kind, "lws-operator.v0.1.0", "1")}, true,
		},
		"this version": {[]metav1.OwnerReference{current}, false},
		"the previous version and this one": {
			[]metav1.OwnerReference{ownedBy(kind, "lws-operator.v0.1.0", "1"), current}, false,
		},
		"no owner: OLM didn't make it":      {nil, false},
		"another owner: OLM didn't make it": {[]metav1.OwnerReference{notOLM}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := lacksOwner(test.owners, current); got != test.want {
				t.Errorf("got %t; want %t", got, test.want)
			}
		})
	}
}

func TestOwnerOf(t *testing.T) {
	controller := ownedBy(clusterServiceVersion, "lws-operator.v0.2.0", "2")
	controller.Controller = ptr.To(true)
	other := controller
	other.Kind = "Operator"
	for name, test := range map[string]struct {
		owners  []metav1.OwnerReference
		want    metav1.OwnerReference
		wantErr string
	}{
		"OLM": {owners: []metav1.OwnerReference{controller},
			want: ownedBy(clusterServiceVersion, "lws-operator.v0.2.0", "2")},
		"no controller": {
			wantErr: "no ClusterServiceVersion controls the OperatorCondition lws-operator-system/lws-operator.v0.2.0"},
		"another controller": {owners: []metav1.OwnerReference{other},
			wantErr: "no ClusterServiceVersion controls the OperatorCondition lws-operator-system/lws-operator.v0.2.0"},
	} {
		t.Run(name, func(t *testing.T) {
			condition := &operatorsv2.OperatorCondition{ObjectMeta: metav1.ObjectMeta{
				Namespace: "lws-operator-system", Name: "lws-operator.v0.2.0", OwnerReferences: test.owners,
			}}
			got, err := ownerOf(condition)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("owner (-want +got):\n%s", diff)
			}
			if (err == nil && test.wantErr != "") || (err != nil && err.Error() != test.wantErr) {
				t.Errorf("got error %v; want %q", err, test.wantErr)
			}
		})
	}
}

// TestOwnerPatch applies the patch as API servers do, to the intended Secret and to a recreated Secret of the same
// name.
func TestOwnerPatch(t *testing.T) {
	previous := ownedBy(clusterServiceVersion, "lws-operator.v0.1.0", "1")
	current := ownedBy(clusterServiceVersion, "lws-operator.v0.2.0", "2")
	patch, err := ownerPatch("a", current)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		uid  types.UID
		want string
	}{
		"the intended Secret": {uid: "a"},
		"a recreated Secret":  {uid: "b", want: "metadata.uid"},
	} {
		t.Run(name, func(t *testing.T) {
			old := corev1.Secret{ObjectMeta: metav1.ObjectMeta{
				Name: "cert", UID: test.uid, ResourceVersion: "1", OwnerReferences: []metav1.OwnerReference{previous},
			}}
			patched := patchSecret(t, old, patch)
			owners := map[types.UID]metav1.OwnerReference{}
			for _, owner := range patched.OwnerReferences {
				owners[owner.UID] = owner
			}
			want := map[types.UID]metav1.OwnerReference{previous.UID: previous, current.UID: current}
			if diff := cmp.Diff(want, owners); diff != "" {
				t.Errorf("owners (-want +got):\n%s", diff)
			}
			got := ""
			errs := validation.ValidateObjectMetaUpdate(&patched.ObjectMeta, &old.ObjectMeta, field.NewPath("metadata"))
			if err := errs.ToAggregate(); err != nil {
				got = err.Error()
			}
			if (test.want == "") != (got == "") || !strings.HasPrefix(got, test.want) {
				t.Errorf("got refusal %q; want %q", got, test.want)
			}
		})
	}
}

func patchSecret(t *testing.T, secret corev1.Secret, patch []byte) (patched corev1.Secret) {
	t.Helper()
	original, err := json.Marshal(secret)
	if err != nil {
		t.Fatal(err)
	}
	result, err := strategicpatch.StrategicMergePatch(original, patch, secret)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(result, &patched); err != nil {
		t.Fatal(err)
	}
	return patched
}

// TestStart lets attempts fail for some time, on a fake clock.
func TestStart(t *testing.T) {
	for name, test := range map[string]struct {
		failing   time.Duration
		canceled  time.Duration
		wantReady time.Duration
		wantLog   string
	}{
		"no failure": {wantReady: 0},
		"permissions arrive late": {failing: 5 * time.Second, wantReady: 5 * time.Second,
			wantLog: "operatorconditions are forbidden"},
		"permissions never arrive": {failing: time.Hour, wantReady: maxUnready,
			wantLog: "operatorconditions are forbidden"},
		"the operator ends before that": {failing: time.Hour, canceled: 3 * time.Second, wantReady: 3 * time.Second,
			wantLog: "operatorconditions are forbidden"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				var logged strings.Builder
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if test.canceled > 0 {
					time.AfterFunc(test.canceled, cancel)
				}
				c := &certificateOwner{
					direct:    failingFor(t, test.failing),
					condition: key,
					log:       funcr.New(func(_, args string) { logged.WriteString(args) }, funcr.Options{}),
				}
				if err := c.ready(nil); err == nil {
					t.Error("ready before the first attempt")
				}
				if err := c.Start(ctx); err != nil {
					t.Fatal(err)
				}
				if err := c.ready(nil); err != nil {
					t.Errorf("not ready after the last attempt: %v", err)
				}
				if got := time.Since(begin); got != test.wantReady {
					t.Errorf("ready after %s; want %s", got, test.wantReady)
				}
				if (test.wantLog == "") != (logged.Len() == 0) || !strings.Contains(logged.String(), test.wantLog) {
					t.Errorf("log %q; want %q", logged.String(), test.wantLog)
				}
			})
		})
	}
}

// failingFor returns a client that fails for some time. After that it finds an OperatorCondition without Deployments.
func failingFor(t *testing.T, failing time.Duration) client.Client {
	t.Helper()
	condition := operatorCondition()
	controller := ownedBy(clusterServiceVersion, "lws-operator.v0.2.0", "2")
	controller.Controller = ptr.To(true)
	condition.OwnerReferences = []metav1.OwnerReference{controller}
	scheme, err := newScheme()
	if err != nil {
		t.Fatal(err)
	}
	until := time.Now().Add(failing)
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(condition).WithInterceptorFuncs(interceptor.Funcs{
		Get: func(
			ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, options ...client.GetOption,
		) error {
			if time.Now().Before(until) {
				return errors.New("operatorconditions are forbidden")
			}
			return c.Get(ctx, key, object, options...)
		},
	}).Build()
}

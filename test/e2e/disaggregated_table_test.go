// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"cmp"
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// rolloutTable is a rollout from one pair of sizes to another, and the states that it passes while groups are ready at
// once: old prefill and decode, a slash, new prefill and decode.
type rolloutTable struct {
	before, after      [2]int32
	surge, unavailable int32
	rows               string

	// bootstrap is how many groups a role may have above its ceiling, once.
	bootstrap int32
}

// rolloutTables are those of the contract.
var rolloutTables = []rolloutTable{
	{[2]int32{8, 4}, [2]int32{8, 4}, 2, 2, "84/00 62/22 41/43 21/64 00/84", 0},
	{[2]int32{3, 2}, [2]int32{3, 2}, 1, 0, "32/00 32/11 21/11 21/22 11/22 11/32 00/32", 0},
	{[2]int32{4, 4}, [2]int32{4, 4}, 0, 1, "44/00 33/00 33/11 22/11 22/22 11/22 11/33 00/33 00/44", 0},
	{[2]int32{2, 4}, [2]int32{4, 2}, 1, 0, "24/00 22/11 11/22 00/32 00/42", 0},
	{[2]int32{1, 5}, [2]int32{1, 5}, 0, 1, "15/00 14/00 14/01 14/11 13/11 13/12 12/12 12/13 11/13 11/14 00/14 00/15", 1},
	{[2]int32{1, 1}, [2]int32{1, 1}, 1, 0, "11/00 11/11 00/11", 0},
}

func (r *rolloutTable) String() string {
	return fmt.Sprintf("%v to %v, surge %d, unavailable %d", r.before, r.after, r.surge, r.unavailable)
}

// newSet returns a set of the sizes before the rollout.
func (r *rolloutTable) newSet(namespace string) *dset {
	return newDisaggregated(namespace, []dsetRole{newRole("prefill", r.before[0]), newRole("decode", r.before[1])},
		limits(int(r.surge), int(r.unavailable)))
}

// rollOut starts the rollout.
func (r *rolloutTable) rollOut(t *testing.T, set *dset) {
	t.Helper()
	edit(t, set, func(s *dset) {
		withRoleImages(nextImage, nextImage)(s)
		for i := range s.Spec.Roles {
			s.Spec.Roles[i].Spec.Replicas = ptr.To(r.after[i])
		}
	})
}

// TestLocalDisaggregatedTables walks the operator through every row of the contract's tables. The tables are about
// groups that are ready at once, in all roles. Those of a real control plane become ready one after the other. So a
// gate turns steps back until all groups are ready or gone. The states that a watch has seen are the rows, and between
// two rows those that the writes of one pass lead through.
func TestLocalDisaggregatedTables(t *testing.T) {
	t.Parallel()
	for _, table := range rolloutTables {
		t.Run(table.String(), func(t *testing.T) {
			t.Parallel()
			set := table.newSet(newNamespace(t))
			create(t, set)
			untilOnlyCurrent(t, set)
			first, film, rows := set.Status.UpdateRevision, newRoleFilm(t, set), strings.Fields(table.rows)
			gate := &stepGate{set: set, film: film, first: first, rows: rows}
			gate.install(t)
			table.rollOut(t, set)
			eventually(t, func(ctx context.Context) error {
				if err := gate.problem(); err != nil {
					t.Fatal(err)
				}
				err := suite.client.Get(ctx, client.ObjectKeyFromObject(set), set)
				return cmp.Or(err, unless(rolesAvailable(set), "status %+v", set.Status))
			})
			untilOnlyCurrent(t, set)
			states := film.states(t, first)
			t.Logf("%s: %v", &table, states)
			if missed := notPassed(states, rows); missed != "" {
				t.Errorf("the row %s is missing in %v", missed, states)
			}
			checkBetween(t, states, rows)
		})
	}
}

// checkBetween checks that each state is a row, or between one row and the next.
func checkBetween(t *testing.T, states, rows []string) {
	t.Helper()
	row := 0
	for _, state := range states {
		if row+1 < len(rows) && state == rows[row+1] {
			row++
		}
		if state != rows[row] && (row+1 == len(rows) || !between(rows[row], state, rows[row+1])) {
			t.Errorf("the state %s follows the row %s of %v", state, rows[row], rows)
		}
	}
}

// between reports whether each number of a state is between those of two rows.
func between(from, state, to string) bool {
	for i := range state {
		if state[i] < min(from[i], to[i]) || state[i] > max(from[i], to[i]) {
			return false
		}
	}
	return len(state) == len(to)
}

// maxTurnedBack is how often the gate turns back steps other than that to the next row, while all groups are ready. The
// operator needs a few attempts to see the last group, 100 ms each.
const maxTurnedBack = 100

// stepGate is a webhook for the LeaderWorkerSets of a set. It turns back changes of replicas until all groups are ready
// or gone, and those that lead away from the next row. The answer is a conflict: the operator observes the world again.
type stepGate struct {
	set   *dset
	film  *roleFilm
	first string // the old revision
	rows  []string

	mutex      sync.Mutex
	calls      int
	row        int // the last row that was reached
	turnedBack int // since then, although all groups were ready
	failed     error
}

// install registers the gate with the API server until the test ends.
func (g *stepGate) install(t *testing.T) {
	t.Helper()
	server := httptest.NewTLSServer(g)
	t.Cleanup(server.Close)
	bundle := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	hook := &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "step-gate-" + g.set.Namespace},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name:                    "step-gate.example.com",
			AdmissionReviewVersions: []string{"v1"},
			SideEffects:             ptr.To(admissionregistrationv1.SideEffectClassNone),
			ClientConfig:            admissionregistrationv1.WebhookClientConfig{URL: &server.URL, CABundle: bundle},
			NamespaceSelector: &metav1.LabelSelector{
				MatchLabels: map[string]string{"kubernetes.io/metadata.name": g.set.Namespace},
			},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{
					admissionregistrationv1.Create, admissionregistrationv1.Update,
				},
				Rule: admissionregistrationv1.Rule{
					APIGroups: []string{leaderworkersetv1.GroupVersion.Group}, APIVersions: []string{"v1"},
					Resources: []string{"leaderworkersets"},
				},
			}},
		}},
	}
	create(t, hook)
	t.Cleanup(func() {
		if err := suite.client.Delete(context.WithoutCancel(t.Context()), hook); err != nil {
			t.Error(err)
		}
	})
	eventually(t, func(ctx context.Context) error { // The API server begins to call a new webhook some time later.
		err := suite.client.Create(ctx, newSet(g.set.Namespace, "probe", 0, 1), client.DryRunAll)
		g.mutex.Lock()
		defer g.mutex.Unlock()
		return cmp.Or(err, unless(g.calls > 0, "the gate isn't called yet"))
	})
}

// ServeHTTP answers a request of the API server.
func (g *stepGate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var review admissionv1.AdmissionReview
	var child leaderworkersetv1.LeaderWorkerSet
	err := json.NewDecoder(r.Body).Decode(&review)
	if err == nil {
		err = json.Unmarshal(review.Request.Object.Raw, &child)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}
	if err := g.check(r.Context(), &child); err != nil {
		review.Response.Allowed = false
		review.Response.Result = &metav1.Status{
			Code: http.StatusConflict, Reason: metav1.StatusReasonConflict, Message: err.Error(),
		}
	}
	_ = json.NewEncoder(w).Encode(review)
}

// check returns why a LeaderWorkerSet may not be written now.
func (g *stepGate) check(ctx context.Context, child *leaderworkersetv1.LeaderWorkerSet) error {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.calls++
	if !metav1.IsControlledBy(child, g.set) {
		return nil
	}
	children, err := lwsIn(g.set.Namespace)(ctx)
	if err != nil {
		return err
	}
	state, settled := childByID{}, true
	for _, other := range children {
		state[other.Name] = other
		settled = settled && groupsReady(other)
	}
	before := g.film.replicas(state, g.first)
	state[child.Name] = child
	after := g.film.replicas(state, g.first)
	if before == after {
		return nil
	}
	return g.admit(before, after, settled)
}

// admit returns why the next step may not lead from one state to another. The gate leaves out no row, and the writes of
// a pass come one after the other.
func (g *stepGate) admit(before, after string, settled bool) error {
	next := min(g.row+1, len(g.rows)-1)
	if before == g.rows[g.row] && !settled {
		return fmt.Errorf("not all groups are ready at %s", before)
	}
	if !between(before, after, g.rows[next]) {
		if settled {
			g.turnedBack++
		}
		if g.turnedBack > maxTurnedBack {
			g.failed = fmt.Errorf("the operator wants to go from %s to %s, and not to the row %s", before, after, g.rows[next])
		}
		return fmt.Errorf("the row after %s is %s", g.rows[g.row], g.rows[next])
	}
	if after == g.rows[next] {
		g.row, g.turnedBack = next, 0
	}
	return nil
}

// problem returns what the operator does against the rows.
func (g *stepGate) problem() error {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	return g.failed
}

// groupsReady reports whether a LeaderWorkerSet has exactly the groups that it asks for, all of them ready.
func groupsReady(lws *leaderworkersetv1.LeaderWorkerSet) bool {
	replicas, status := *lws.Spec.Replicas, &lws.Status
	return status.ObservedGeneration == lws.Generation &&
		sets.New(status.Replicas, status.ReadyReplicas).Equal(sets.New(replicas))
}

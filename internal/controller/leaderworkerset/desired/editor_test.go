// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"gomodules.xyz/jsonpatch/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestSetLabelEscapesTheKey(t *testing.T) {
	e := &editor{pod: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"x": ""}}}}
	e.setLabel("a/b~c~1", "v")
	e.setLabel("x", "")
	want := []jsonpatch.Operation{{Operation: "add", Path: "/metadata/labels/a~1b~0c~01", Value: "v"}}
	if diff := cmp.Diff(want, e.patch); diff != "" {
		t.Errorf("operations (-want +got):\n%s", diff)
	}
}

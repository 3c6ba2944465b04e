// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/lru"
)

// rememberedDeletions is how many deletions are remembered: as many as can be under way while a cache is late. About 0.5 MB.
const rememberedDeletions = 4096

// deletions remembers objects whose deletion the API server has accepted, or that it didn't know any more. A view that is late shows them
// for a moment as if they were to stay; what it leads to would be requests that can't succeed. The zero value is ready for use.
type deletions struct {
	once  sync.Once
	byUID *lru.Cache
}

func (d *deletions) objects() *lru.Cache {
	d.once.Do(func() { d.byUID = lru.New(rememberedDeletions) })
	return d.byUID
}

// add takes note that an object is gone, or going. That is for good: another one of its name has another UID.
func (d *deletions) add(object metav1.Object) {
	d.objects().Add(object.GetUID(), nil)
}

// includes says whether an object is known to be gone, or going.
func (d *deletions) includes(object metav1.Object) bool {
	_, known := d.objects().Get(object.GetUID())
	return known
}

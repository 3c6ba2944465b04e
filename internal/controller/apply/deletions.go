// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/lru"
)

// rememberedDeletions is how many deletions are remembered: as many as can be under way while a cache is late. They
// take about 0.5 MB.
const rememberedDeletions = 4096

// deletions remembers objects whose deletion the API server has accepted, or that it no longer had. A late view shows
// them for a while. Requests about them could not succeed. The zero value is ready for use.
type deletions struct {
	once  sync.Once
	byUID *lru.Cache
}

func (d *deletions) objects() *lru.Cache {
	d.once.Do(func() { d.byUID = lru.New(rememberedDeletions) })
	return d.byUID
}

// add remembers a deleted object. Another object of its name has another UID.
func (d *deletions) add(object metav1.Object) {
	d.objects().Add(object.GetUID(), nil)
}

// includes reports whether the object with a UID was deleted.
func (d *deletions) includes(uid types.UID) bool {
	_, known := d.objects().Get(uid)
	return known
}

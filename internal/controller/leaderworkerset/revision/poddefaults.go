// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package revision

import (
	"cmp"
	"reflect"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

// fillIn fills in, everywhere below a value, the defaults of the API server for pod templates and claims. Pods are the
// same whether a default is written out or left out. LeaderWorkerSets mostly leave defaults out. The API server fills
// in some of them for CRDs; which ones depends on the version of Kubernetes that the CRD was generated from.
func fillIn(value reflect.Value) {
	switch value.Kind() { //nolint:exhaustive // Nothing is below the others, or nothing that has defaults.
	case reflect.Pointer:
		if !value.IsNil() {
			fillIn(value.Elem())
		}
	case reflect.Slice:
		for i := range value.Len() {
			fillIn(value.Index(i))
		}
	case reflect.Struct:
		setDefaults(value.Addr().Interface())
		for _, field := range value.Fields() {
			if field.CanSet() {
				fillIn(field)
			}
		}
	}
}

// setDefaults sets the defaults of one object, but not of the objects in it: those of Kubernetes 1.36. A v1 API may add
// defaults for new fields, and can't change these.
func setDefaults(object any) {
	switch o := object.(type) {
	case *corev1.PodSpec:
		o.DNSPolicy = cmp.Or(o.DNSPolicy, corev1.DNSClusterFirst)
		o.RestartPolicy = cmp.Or(o.RestartPolicy, corev1.RestartPolicyAlways)
		o.SchedulerName = cmp.Or(o.SchedulerName, corev1.DefaultSchedulerName)
		o.SecurityContext = cmp.Or(o.SecurityContext, &corev1.PodSecurityContext{})
		gracePeriod := ptr.To[int64](corev1.DefaultTerminationGracePeriodSeconds)
		o.TerminationGracePeriodSeconds = cmp.Or(o.TerminationGracePeriodSeconds, gracePeriod)
		o.ServiceAccountName = cmp.Or(o.ServiceAccountName, o.DeprecatedServiceAccount)
		o.DeprecatedServiceAccount = o.ServiceAccountName
	case *corev1.Container:
		o.ImagePullPolicy = cmp.Or(o.ImagePullPolicy, pullPolicy(o.Image))
		o.TerminationMessagePath = cmp.Or(o.TerminationMessagePath, corev1.TerminationMessagePathDefault)
		o.TerminationMessagePolicy = cmp.Or(o.TerminationMessagePolicy, corev1.TerminationMessageReadFile)
	case *corev1.ContainerPort:
		o.Protocol = cmp.Or(o.Protocol, corev1.ProtocolTCP)
	case *corev1.ObjectFieldSelector:
		o.APIVersion = cmp.Or(o.APIVersion, "v1")
	case *corev1.FileKeySelector:
		o.Optional = cmp.Or(o.Optional, ptr.To(false))
	case *corev1.Probe:
		o.TimeoutSeconds = cmp.Or(o.TimeoutSeconds, 1)
		o.PeriodSeconds = cmp.Or(o.PeriodSeconds, 10)
		o.SuccessThreshold = cmp.Or(o.SuccessThreshold, 1)
		o.FailureThreshold = cmp.Or(o.FailureThreshold, 3)
	case *corev1.HTTPGetAction:
		o.Path = cmp.Or(o.Path, "/")
		o.Scheme = cmp.Or(o.Scheme, corev1.URISchemeHTTP)
	case *corev1.GRPCAction:
		o.Service = cmp.Or(o.Service, ptr.To(""))
	case *corev1.PersistentVolumeClaimSpec:
		o.VolumeMode = cmp.Or(o.VolumeMode, ptr.To(corev1.PersistentVolumeFilesystem))
	case *corev1.Volume:
		if o.VolumeSource == (corev1.VolumeSource{}) {
			o.EmptyDir = &corev1.EmptyDirVolumeSource{}
		}
	default:
		setVolumeDefaults(object)
	}
}

func setVolumeDefaults(source any) {
	switch s := source.(type) {
	case *corev1.ConfigMapVolumeSource:
		s.DefaultMode = cmp.Or(s.DefaultMode, ptr.To(corev1.ConfigMapVolumeSourceDefaultMode))
	case *corev1.SecretVolumeSource:
		s.DefaultMode = cmp.Or(s.DefaultMode, ptr.To(corev1.SecretVolumeSourceDefaultMode))
	case *corev1.DownwardAPIVolumeSource:
		s.DefaultMode = cmp.Or(s.DefaultMode, ptr.To(corev1.DownwardAPIVolumeSourceDefaultMode))
	case *corev1.ProjectedVolumeSource:
		s.DefaultMode = cmp.Or(s.DefaultMode, ptr.To(corev1.ProjectedVolumeSourceDefaultMode))
	case *corev1.ServiceAccountTokenProjection:
		s.ExpirationSeconds = cmp.Or(s.ExpirationSeconds, ptr.To[int64](60*60))
	case *corev1.HostPathVolumeSource:
		s.Type = cmp.Or(s.Type, ptr.To(corev1.HostPathUnset))
	case *corev1.ImageVolumeSource:
		s.PullPolicy = cmp.Or(s.PullPolicy, pullPolicy(s.Reference))
	case *corev1.ISCSIVolumeSource:
		s.ISCSIInterface = cmp.Or(s.ISCSIInterface, "default")
	case *corev1.RBDVolumeSource:
		s.RBDPool = cmp.Or(s.RBDPool, "rbd")
		s.RadosUser = cmp.Or(s.RadosUser, "admin")
		s.Keyring = cmp.Or(s.Keyring, "/etc/ceph/keyring")
	case *corev1.ScaleIOVolumeSource:
		s.StorageMode = cmp.Or(s.StorageMode, "ThinProvisioned")
		s.FSType = cmp.Or(s.FSType, "xfs")
	case *corev1.AzureDiskVolumeSource:
		s.CachingMode = cmp.Or(s.CachingMode, ptr.To(corev1.AzureDataDiskCachingReadWrite))
		s.FSType = cmp.Or(s.FSType, ptr.To("ext4"))
		s.ReadOnly = cmp.Or(s.ReadOnly, ptr.To(false))
		s.Kind = cmp.Or(s.Kind, ptr.To(corev1.AzureSharedBlobDisk))
	}
}

// pullPolicy returns when an image is pulled unless the template says so: always if its tag is latest, or if it has
// neither tag nor digest.
func pullPolicy(image string) corev1.PullPolicy {
	name, _, pinned := strings.Cut(image, "@")
	_, tag, tagged := strings.Cut(name[strings.LastIndex(name, "/")+1:], ":")
	if tag == "latest" || (!tagged && !pinned) {
		return corev1.PullAlways
	}
	return corev1.PullIfNotPresent
}

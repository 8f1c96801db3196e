package api

import "testing"

func TestX(t *testing.T) { t.Log(cluster.Kubectl(t, "get", "crd")); t.Log(cluster.Namespace(t)) }

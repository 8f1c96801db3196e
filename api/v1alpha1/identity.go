package v1alpha1

import (
	"strings"

	"github.com/google/uuid"
)

// idNamespace is the name space of the UUIDv5 ids given to objects whose name is no UUID. It is arbitrary, and fixed for
// ever: changing it would change the REST id of every such object.
var idNamespace = uuid.MustParse("6f1a3c0e-5f0b-4e57-9d0e-0d1b6a7c2f94")

// ID returns the id under which the REST API knows the Spider.
func (s *Spider) ID() string { return objectID("Spider", s.Namespace, s.Name) }

// ID returns the id under which the REST API knows the SpiderJob.
func (j *SpiderJob) ID() string { return objectID("SpiderJob", j.Namespace, j.Name) }

// SpiderID returns the REST id of the Spider the job runs, whether or not that Spider still exists.
func (j *SpiderJob) SpiderID() string { return objectID("Spider", j.Namespace, j.Spec.SpiderRef.Name) }

// objectID is the object's name where that is a UUID in its canonical form, else the UUIDv5 of kind/namespace/name. It
// depends on nothing else, so it survives a backup and its restoration; an object made anew under an old name has the old id.
func objectID(kind, namespace, name string) string {
	if IsID(name) {
		return name
	}
	return uuid.NewSHA1(idNamespace, []byte(kind+"/"+namespace+"/"+name)).String()
}

// IsID reports whether s is a UUID in canonical form: 36 characters, lower case, with its four hyphens.
func IsID(s string) bool {
	if len(s) != 36 || s != strings.ToLower(s) {
		return false
	}
	_, err := uuid.Parse(s)
	return err == nil
}

// ParseID reads an id as callers send it: a UUID of 36 characters, in either case.
func ParseID(text string) (uuid.UUID, bool) {
	if len(text) != 36 {
		return uuid.UUID{}, false
	}
	id, err := uuid.Parse(text)
	return id, err == nil
}

// User returns the user that the job is shown to be of: userID, else the namespace itself. Who may see it is told by userID alone: a
// user that has the namespace's name is not the namespace.
func (j *SpiderJob) User() string { return userOr(j.Spec.UserID, j.Namespace) }

// User returns the user that callers with this key are shown to be: userID, else the namespace itself.
func (k *APIKey) User() string { return userOr(k.Spec.UserID, k.Namespace) }

// VisibleTo reports whether REST callers of this userID, in the Spider's namespace, may see and run the Spider: it is that user's own,
// or nobody's and so shared.
func (s *Spider) VisibleTo(userID string) bool { return s.Spec.UserID == "" || s.Spec.UserID == userID }

// SpiderName returns the name Scrapy and REST callers know the Spider by: spec.name, else the object's name.
func (s *Spider) SpiderName() string {
	if s.Spec.Name != "" {
		return s.Spec.Name
	}
	return s.Name
}

func userOr(userID, namespace string) string {
	if userID != "" {
		return userID
	}
	return namespace
}

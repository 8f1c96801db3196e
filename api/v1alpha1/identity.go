package v1alpha1

import (
	"strings"

	"github.com/google/uuid"
)

// idNamespace is the name space of the UUIDv5 ids of objects whose name is not a UUID. It was chosen arbitrarily and must
// never change: a change would change the REST API id of every such object.
var idNamespace = uuid.MustParse("6f1a3c0e-5f0b-4e57-9d0e-0d1b6a7c2f94")

// ID returns the REST API id of the Spider.
func (s *Spider) ID() string { return objectID("Spider", s.Namespace, s.Name) }

// ID returns the REST API id of the SpiderJob.
func (j *SpiderJob) ID() string { return objectID("SpiderJob", j.Namespace, j.Name) }

// SpiderID returns the REST API id of the Spider that the job runs, whether or not that Spider still exists.
func (j *SpiderJob) SpiderID() string { return objectID("Spider", j.Namespace, j.Spec.SpiderRef.Name) }

// ID returns the REST API id of the SpiderSchedule.
func (s *SpiderSchedule) ID() string { return objectID("SpiderSchedule", s.Namespace, s.Name) }

// SpiderID returns the REST API id of the Spider that the schedule runs, whether or not that Spider exists.
func (s *SpiderSchedule) SpiderID() string {
	return objectID("Spider", s.Namespace, s.Spec.SpiderRef.Name)
}

// ScheduleID returns the REST API id of the SpiderSchedule whose run the job is, "" if it is of none. The schedule may be gone.
func (j *SpiderJob) ScheduleID() string {
	if name := j.Labels[LabelSchedule]; name != "" {
		return objectID("SpiderSchedule", j.Namespace, name)
	}
	return ""
}

// objectID is the object's name if that is a UUID in canonical form, and otherwise the UUIDv5 of kind/namespace/name. It
// depends on nothing else, so it survives backup and restore; an object that is recreated under its old name has its old id.
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

// ParseID parses an id sent by a caller: a UUID of 36 characters, in upper or lower case.
func ParseID(text string) (uuid.UUID, bool) {
	if len(text) != 36 {
		return uuid.UUID{}, false
	}
	id, err := uuid.Parse(text)
	return id, err == nil
}

// User returns the user to show as the job's owner: userID, or the namespace without one. Visibility depends on userID alone: a
// user with the namespace's name is not the namespace.
func (j *SpiderJob) User() string { return userOr(j.Spec.UserID, j.Namespace) }

// User returns the user to show as the schedule's owner: userID, or the namespace without one.
func (s *SpiderSchedule) User() string { return userOr(s.Spec.UserID, s.Namespace) }

// User returns the user to show for callers with this key: userID, or the namespace without one.
func (k *APIKey) User() string { return userOr(k.Spec.UserID, k.Namespace) }

// VisibleTo reports whether REST API callers of this userID, in the Spider's namespace, may see and run the Spider: it
// belongs to that user, or to none and is therefore shared.
func (s *Spider) VisibleTo(userID string) bool { return s.Spec.UserID == "" || s.Spec.UserID == userID }

// SpiderName returns the spider's name in Scrapy and in the REST API: spec.name, or the object's name without one.
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

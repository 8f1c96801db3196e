package client

import (
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"time"
)

// split turns the parameters of a call, a generated structure, into a query and headers. It leaves empty ones out.
func split(params any) (url.Values, http.Header) {
	query, header := url.Values{}, http.Header{}
	value := reflect.ValueOf(params)
	for i := range value.NumField() {
		field, tags := value.Field(i), value.Type().Field(i).Tag
		if field.IsZero() {
			continue
		}
		name, _, _ := strings.Cut(tags.Get("json"), ",")
		if _, inQuery := tags.Lookup("form"); inQuery {
			query[name] = texts(field)
		} else {
			header.Set(name, texts(field)[0])
		}
	}
	return query, header
}

// texts returns a parameter's values, as they are sent.
func texts(value reflect.Value) []string {
	switch value.Kind() {
	case reflect.Pointer:
		return texts(value.Elem())
	case reflect.Slice:
		var all []string
		for i := range value.Len() {
			all = append(all, texts(value.Index(i))...)
		}
		return all
	default:
		if moment, ok := value.Interface().(time.Time); ok {
			return []string{moment.UTC().Format(time.RFC3339Nano)}
		}
		return []string{fmt.Sprint(value.Interface())}
	}
}

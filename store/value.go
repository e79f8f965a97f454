package store

import (
	"database/sql"
	"database/sql/driver"
	"fmt"
	"reflect"
	"time"

	"github.com/openspine/openspine/fault"
)

// values turns arguments into the five things both engines know: nil, int64, float64, string and []byte.
func values(args []any) ([]any, error) {
	for i, a := range args {
		switch a.(type) {
		case nil, int64, float64, string, []byte:
		default:
			return convertAll(args, i)
		}
	}
	return args, nil
}

func convertAll(args []any, from int) ([]any, error) {
	out := make([]any, len(args))
	copy(out, args[:from])
	for i := from; i < len(args); i++ {
		v, err := value(args[i])
		if err != nil {
			return nil, fault.Wrap(err, fault.Internal, "argument %d of a statement", i+1)
		}
		out[i] = v
	}
	return out, nil
}

func value(a any) (any, error) {
	switch v := a.(type) {
	case nil, int64, float64, string, []byte:
		return v, nil
	case int:
		return int64(v), nil
	case Lane:
		return int64(v), nil
	case bool:
		if v {
			return int64(1), nil
		}
		return int64(0), nil
	case time.Time:
		return v.UnixMicro(), nil
	case driver.Valuer:
		inner, err := v.Value()
		if err != nil {
			return nil, err
		}
		return plain(reflect.ValueOf(inner))
	}
	return plain(reflect.ValueOf(a))
}

func plain(v reflect.Value) (any, error) {
	switch v.Kind() {
	case reflect.Invalid:
		return nil, nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return v.Int(), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if v.Uint() > 1<<63-1 {
			return nil, fmt.Errorf("%d does not fit in 63 bits", v.Uint())
		}
		return int64(v.Uint()), nil
	case reflect.Float32, reflect.Float64:
		return v.Float(), nil
	case reflect.Bool:
		return value(v.Bool())
	case reflect.String:
		return v.String(), nil
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return v.Bytes(), nil
		}
	case reflect.Pointer:
		if v.IsNil() {
			return nil, nil
		}
		return value(v.Elem().Interface())
	}
	if v.IsValid() {
		if t, ok := v.Interface().(time.Time); ok {
			return t.UnixMicro(), nil
		}
		return nil, fmt.Errorf("a %s cannot be kept; hand in its text or number", v.Type())
	}
	return nil, nil
}

// assign copies a column's value (nil, int64, float64, string, or []byte that is about to change) to where dest points.
func assign(dest, v any) error {
	switch d := dest.(type) {
	case *any:
		if b, ok := v.([]byte); ok {
			v = append([]byte{}, b...)
		}
		*d = v
		return nil
	case *time.Time:
		us, ok := v.(int64)
		if !ok {
			return fmt.Errorf("a %T is not a time", v)
		}
		*d = time.UnixMicro(us).UTC()
		return nil
	case *[]byte:
		switch b := v.(type) {
		case nil:
			*d = nil
			return nil
		case []byte:
			*d = append([]byte{}, b...)
			return nil
		case string:
			*d = []byte(b)
			return nil
		}
		return fmt.Errorf("a %T is not bytes", v)
	case sql.Scanner:
		if b, ok := v.([]byte); ok {
			v = append([]byte{}, b...)
		}
		return d.Scan(v)
	}
	p := reflect.ValueOf(dest)
	if p.Kind() != reflect.Pointer || p.IsNil() {
		return fmt.Errorf("a %T cannot be scanned into", dest)
	}
	return set(p.Elem(), v)
}

func set(d reflect.Value, v any) error {
	if d.Kind() == reflect.Pointer {
		if v == nil {
			d.SetZero()
			return nil
		}
		p := reflect.New(d.Type().Elem())
		if err := assign(p.Interface(), v); err != nil {
			return err
		}
		d.Set(p)
		return nil
	}
	switch x := v.(type) {
	case int64:
		return setInt(d, x)
	case float64:
		if d.CanFloat() {
			d.SetFloat(x)
			return nil
		}
	case string:
		return setText(d, x)
	case []byte:
		return setText(d, string(x))
	case nil:
		return fmt.Errorf("NULL cannot be a %s", d.Type())
	}
	return fmt.Errorf("a %T is not a %s", v, d.Type())
}

func setInt(d reflect.Value, x int64) error {
	switch {
	case d.CanInt():
		if d.OverflowInt(x) {
			return fmt.Errorf("%d does not fit in a %s", x, d.Type())
		}
		d.SetInt(x)
	case d.CanUint():
		if x < 0 || d.OverflowUint(uint64(x)) {
			return fmt.Errorf("%d does not fit in a %s", x, d.Type())
		}
		d.SetUint(uint64(x))
	case d.CanFloat():
		d.SetFloat(float64(x))
	case d.Kind() == reflect.Bool:
		d.SetBool(x != 0)
	default:
		return fmt.Errorf("an integer is not a %s", d.Type())
	}
	return nil
}

func setText(d reflect.Value, s string) error {
	switch {
	case d.Kind() == reflect.String:
		d.SetString(s)
	case d.Kind() == reflect.Slice && d.Type().Elem().Kind() == reflect.Uint8:
		d.SetBytes([]byte(s))
	default:
		return fmt.Errorf("text is not a %s", d.Type())
	}
	return nil
}

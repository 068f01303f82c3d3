package graph

// Route is being typed.
type Route struct {
	places []Place
	start  *Place
}

func (r *Route) Append(p *Place) {
	r.start.
}

// Len counts places.
func (r *Route) Len() int {
	return r.places.Len(
}

func NewRoute(start *Place) *Route {
	route := &Route{start: start}
	route.Append(start)
	return route
}

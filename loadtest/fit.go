package loadtest

import "math"

// line is a straight line through points, by least squares.
type line struct {
	slope, fixed float64 // y = fixed + slope·x
	// r2 is how much of what y varies the line explains, 0 to 1.
	r2 float64
	n  int // of points
}

// fit draws a line through what of the points there is.
func fit(points []Point, value func(Point) (y float64, ok bool)) line {
	var xs, ys []float64
	for _, p := range points {
		if y, ok := value(p); ok {
			xs, ys = append(xs, p.At), append(ys, y)
		}
	}
	return fitLine(xs, ys)
}

func fitLine(xs, ys []float64) line {
	l := line{n: len(xs)}
	if l.n == 0 {
		return l
	}
	var meanX, meanY float64
	for i := range xs {
		meanX += xs[i] / float64(l.n)
		meanY += ys[i] / float64(l.n)
	}
	var xx, xy, yy float64
	for i := range xs {
		dx, dy := xs[i]-meanX, ys[i]-meanY
		xx, xy, yy = xx+dx*dx, xy+dx*dy, yy+dy*dy
	}
	if xx == 0 {
		l.fixed = meanY
		return l
	}
	l.slope = xy / xx
	l.fixed = meanY - l.slope*meanX
	if yy > 0 {
		l.r2 = math.Min(1, xy*xy/(xx*yy))
	}
	return l
}

// window.portraitTrack: a drawn person at a desk as a video track, so that screenshots
// show a meeting and not test patterns.
(() => {
  function oval(pen, x, y, rx, ry, colour) {
    pen.fillStyle = colour;
    pen.beginPath();
    pen.ellipse(x, y, rx, ry, 0, 0, Math.PI * 2);
    pen.fill();
  }

  function drawRoom(pen, width, height, { hue, seed }) {
    const wall = pen.createLinearGradient(0, 0, width, height);
    wall.addColorStop(0, `hsl(${hue} 22% 80%)`);
    wall.addColorStop(1, `hsl(${hue} 26% 52%)`);
    pen.fillStyle = wall;
    pen.fillRect(0, 0, width, height);
    const left = seed % 2 === 0;
    pen.fillStyle = `hsl(${hue} 24% 92% / 0.75)`; // a window
    pen.fillRect(width * (left ? 0.05 : 0.72), height * 0.08, width * 0.22, height * 0.5);
    pen.fillStyle = `hsl(${hue} 22% 62%)`;
    pen.fillRect(width * (left ? 0.155 : 0.825), height * 0.08, width * 0.01, height * 0.5);
    pen.fillStyle = `hsl(${hue} 24% 36%)`; // a shelf with folders
    pen.fillRect(width * (left ? 0.72 : 0.06), height * 0.4, width * 0.22, height * 0.02);
    for (let i = 0; i < 7; i += 1) {
      pen.fillStyle = `hsl(${(hue + i * 47) % 360} 28% ${38 + (i * 13) % 24}%)`;
      pen.fillRect(width * ((left ? 0.73 : 0.07) + i * 0.028), height * 0.26, width * 0.022, height * 0.14);
    }
  }

  function drawPerson(pen, width, height, { hue, seed, longHair }, phase) {
    const head = height * 0.18;
    const x = width / 2 + Math.sin(phase * 0.9 + seed) * width * 0.006;
    const y = height * 0.4 + Math.sin(phase * 1.6 + seed * 2) * height * 0.006;
    const hair = '#241d1b';
    if (longHair) oval(pen, x, y + head * 0.42, head * 1.0, head * 1.42, hair);
    oval(pen, x, height * 1.04, width * 0.23, height * 0.4, `hsl(${(hue + 190) % 360} 24% 26%)`);
    pen.fillStyle = '#f4f1ea'; // the collar
    pen.beginPath();
    pen.moveTo(x - head * 0.5, y + head * 1.3);
    pen.lineTo(x + head * 0.5, y + head * 1.3);
    pen.lineTo(x, y + head * 2.1);
    pen.fill();
    oval(pen, x, y + head * 1.0, head * 0.34, head * 0.55, '#c2906d');
    oval(pen, x, y - head * 0.08, head * 0.84, head * 1.04, hair);
    oval(pen, x, y + head * 0.16, head * 0.72, head * 0.86, '#d8a982');
    const shut = Math.sin(phase * 1.3 + seed * 3) > 0.97;
    for (const side of [-1, 1]) {
      oval(pen, x + side * head * 0.72, y + head * 0.16, head * 0.1, head * 0.18, longHair ? hair : '#cf9d77');
      oval(pen, x + side * head * 0.28, y + head * 0.1, head * 0.06, shut ? head * 0.015 : head * 0.075, '#33241d');
      pen.fillStyle = hair;
      pen.fillRect(x + side * head * 0.28 - head * 0.14, y - head * 0.1, head * 0.28, head * 0.045);
    }
    pen.strokeStyle = '#9a5f4c';
    pen.lineWidth = head * 0.045;
    pen.beginPath();
    pen.arc(x, y + head * 0.42, head * 0.22, Math.PI * 0.22, Math.PI * 0.78);
    pen.stroke();
  }

  /** look: {hue 0..359, seed, longHair, width, height}. */
  window.portraitTrack = ({ width = 640, height = 360, seed = 0, ...look }, fps) => {
    const canvas = document.createElement('canvas');
    Object.assign(canvas, { width, height });
    const pen = canvas.getContext('2d');
    const draw = () => {
      drawRoom(pen, width, height, { ...look, seed });
      drawPerson(pen, width, height, { ...look, seed }, performance.now() / 1000);
    };
    draw();
    setInterval(draw, 1000 / fps);
    return canvas.captureStream(fps).getVideoTracks()[0];
  };
})();
